"""Exact problems: those of which conic forms are relaxations."""

"""Generators with a profile."""

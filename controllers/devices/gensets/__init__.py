"""Generators that burn fuel."""

"""Configs that come with the project, and their data."""

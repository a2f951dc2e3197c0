"""Batteries on trucks."""

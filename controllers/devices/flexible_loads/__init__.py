"""Loads that can be shifted within a day."""

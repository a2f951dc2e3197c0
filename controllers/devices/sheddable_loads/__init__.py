"""Loads that can be shed."""

"""Stationary batteries."""

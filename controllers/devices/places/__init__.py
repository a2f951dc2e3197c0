"""Coupling of what connects at a station: its places and its power."""

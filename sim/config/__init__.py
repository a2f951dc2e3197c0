"""The co-simulation config: reading, checking, repairing and writing it."""

"""Promises of runs and readers, attacked at scale: ``python -m tests.soak``."""

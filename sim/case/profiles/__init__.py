"""Profile files: how they are written, their times on the run's clock, their columns by step."""

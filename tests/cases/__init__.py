"""Plants, days and runs that several tests share, and where things are."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

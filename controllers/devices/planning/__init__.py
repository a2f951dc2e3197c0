"""Building parts of blocks: their interface, trips between stations over a horizon."""

"""Roads between stations: distance matrices, road graphs and travel times."""

"""Roads between the stations of trucks: distances, graphs and travel times."""

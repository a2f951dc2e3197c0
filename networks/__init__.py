"""Static data of the world: feeders, the catalogue and the readers that fill it, and the roads between stations."""

"""Networks and roads: feeders, the catalogue of networks, readers of network files, roads between stations."""

"""What blocks of kinds are made of: the interface, trips between stations over a horizon."""

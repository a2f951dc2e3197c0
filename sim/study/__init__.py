"""Studies: variants of a config side by side, evaluated by Monte Carlo or in closed loop."""

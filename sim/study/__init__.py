"""Studies: variants of a config side by side, judged by Monte Carlo or in closed loop."""

"""Stores of energy, stationary or on trucks: physics, config keys, optimisation block."""

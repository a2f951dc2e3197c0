"""Stores of energy, on a truck or not: their law, their keys in a config, their block."""

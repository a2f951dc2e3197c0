"""Thin mosaik simulators around the pure code of `sim`."""

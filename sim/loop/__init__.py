"""The closed loop: the mosaik world, runs, validation of schedules, regret."""

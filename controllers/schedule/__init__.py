"""Schedules of positions and powers: evaluation by devices and AC power flow, repair, particle swarm."""

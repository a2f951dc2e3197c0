"""Dispatch model: blocks of devices, power flow of networks, limits, costs, solution."""

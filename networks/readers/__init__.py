"""Readers of networks: pandapower nets, MATPOWER cases, SimBench codes."""

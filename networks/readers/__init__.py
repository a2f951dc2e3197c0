"""Read feeders from what others have: pandapower nets, MATPOWER cases, SimBench codes."""

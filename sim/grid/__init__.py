"""AC power flow of a network by pandapower or power-grid-model."""

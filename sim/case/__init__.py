"""Case of a config: plant, realised conditions, forecasts."""

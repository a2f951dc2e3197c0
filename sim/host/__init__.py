"""The controller's host: asks for a plan, checks it by AC power flow on the forecast, falls back when it fails."""

"""Forecast errors: the error model, how voltages respond to them, and the margins that keep limits under them."""

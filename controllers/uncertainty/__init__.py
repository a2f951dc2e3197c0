"""Forecast errors: error model, voltage sensitivities, margins."""

"""Host of the controller: requests plans, checks them by AC power flow on the forecast, applies fallbacks."""

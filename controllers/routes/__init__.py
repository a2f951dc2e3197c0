"""Routes of trucks: fixed routes, and the search for routes with a bound."""

"""Routes of trucks: fixed ones, and the search for good ones with a bound."""

"""From a config to a case: the plant, what really happens, and what may be known of it."""

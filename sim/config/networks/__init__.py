"""Networks of a config: what becomes of their elements, pieces and devices written out."""

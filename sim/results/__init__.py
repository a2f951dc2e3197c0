"""Results of a run: the record, its figures, and how people and other tools read them."""

"""Commands of ``gridferry``, one per file; each returns its exit code."""

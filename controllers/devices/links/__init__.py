"""MVDC links between feeders."""

"""Results of a run: record, figures, display, report, export."""

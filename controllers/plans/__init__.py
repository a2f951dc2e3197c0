"""Plans as files and between steps: plan.csv, JSON, checks, shifting in time."""

"""Plans as files and between steps: plan.csv, JSON, and what an earlier plan says of the steps to come."""

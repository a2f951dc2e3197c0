"""What a run says is so, attacked at scale."""

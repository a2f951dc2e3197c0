"""Joint reliability of plans: days drawn and solved in AC, tuning of the individual confidence, certificate."""

"""What the process tells the shell when it ends."""

DONE = 0
NOT_SO = 1
"""the thing asked about is not so: a limit broken, a check failed"""
BAD_INPUT = 2
FAILED = 3
"""the run failed; the results so far are kept"""

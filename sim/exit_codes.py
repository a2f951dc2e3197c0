"""Exit codes of the commands."""

DONE = 0
NOT_SO = 1
"""a negative answer: a limit is violated, or a check failed"""
BAD_INPUT = 2
FAILED = 3
"""the run failed or was interrupted; the results so far are kept"""
DEFECT = 4
"""an exception that nobody expected, a defect of ours; stderr says in one line where its traceback is"""

"""Exit codes of the commands."""

DONE = 0
NOT_SO = 1
"""a negative answer: a limit is violated, or a check failed"""
BAD_INPUT = 2
FAILED = 3
"""the run is not usable as it stands: it failed, was interrupted, fell back or diverged; it is kept"""
DEFECT = 4
"""an exception that nobody expected, a defect of ours; stderr says in one line where its traceback is"""

"""The command as users run it."""

import subprocess
import sys


def command(*arguments, cwd):
    """Run the command as users do, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "gridferry.sim.cli", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done

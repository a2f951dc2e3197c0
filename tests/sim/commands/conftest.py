"""A finished run, for commands to show."""

import pytest

from cases.command_line import command


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished run of a config with every kind of device."""
    folder = tmp_path_factory.mktemp("finished")
    done = command("run", "two_feeders", "--steps", 6, "--out", folder / "run", "--json", cwd=folder)
    assert done.returncode == 0
    assert list(folder.iterdir()) == [folder / "run"]
    return folder / "run", done

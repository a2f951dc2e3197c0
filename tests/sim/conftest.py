"""The command line, for tests that use it."""

import pytest

from gridferry.sim import cli


@pytest.fixture
def gridferry(capsys, monkeypatch, tmp_path):
    """Run the command in this process, in an empty folder; returns exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def command(*arguments):
        with pytest.raises(SystemExit) as left:
            cli.main([str(one) for one in arguments])
        message = capsys.readouterr()
        assert "Traceback" not in message.out + message.err
        return left.value.code, message.out, message.err

    return command

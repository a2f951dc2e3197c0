"""What a config names runs only from its own folder or an installed package, and nothing runs with --no-code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gridferry.networks.faults import InputError
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.config.named_code import NO_CODE

CODE = """
from pathlib import Path

from gridferry.controllers.idle import Idle
from gridferry.networks.published import three_bus

Path(__file__).with_suffix(".ran").touch()


class Mine(Idle):
    '''Idle.'''


def net():
    return three_bus()
"""
NAMING = {
    "controller": '[controller]\nuse = "{}:Mine"\n',
    "feeder": '[networks.dn1]\nfeeder = "{}:net"\n',
    "kind": '[devices]\nuse = ["{}:Mine"]\n',
}


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a config from elsewhere, beside one with code of the user's, which is the working folder."""
    for name in ("theirs", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"code_{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path / "mine")
    return tmp_path / "theirs"


def config(folder: Path, text: str) -> Path:
    path = folder / "case.toml"
    path.write_text(f'extends = "three_bus"\n{text}')
    return path


def ran(folder: Path) -> bool:
    return any(folder.parent.rglob("*.ran"))


@pytest.mark.parametrize("what", NAMING)
@pytest.mark.parametrize("place", ["../mine/code_mine.py", "{}/mine/code_mine.py", "link.py", "code_mine"])
def test_code_outside_of_the_configs_folder_is_refused_and_not_run(theirs: Path, what: str, place: str) -> None:
    (theirs / "link.py").symlink_to(theirs.parent / "mine" / "code_mine.py")
    path = config(theirs, NAMING[what].format(place.format(theirs.parent)))
    with pytest.raises(InputError, match="is code outside the config's own folder, which only you may name"):
        build_case(load_config(path))
    assert not ran(theirs)


@pytest.mark.parametrize("what", ["controller", "feeder"])
def test_code_in_the_configs_folder_runs(theirs: Path, what: str) -> None:
    build_case(load_config(config(theirs, NAMING[what].format("code_theirs.py"))))
    assert ran(theirs)


@pytest.mark.parametrize("named", ["controller.use=code_mine.py:Mine", "networks.dn1.feeder={}/code_mine.py:net"])
def test_what_the_command_line_names_runs_wherever_it_lies(theirs: Path, named: str) -> None:
    build_case(load_config(config(theirs, ""), [named.format(Path.cwd()).replace("=code", f"={Path.cwd()}/code")]))
    assert ran(theirs)


def test_a_study_names_code_for_its_own_folder_only(gridferry, tmp_path: Path) -> None:
    for folder in ("study", "elsewhere"):
        (tmp_path / folder).mkdir()
    (tmp_path / "elsewhere" / "code.py").write_text(CODE)
    study = tmp_path / "study" / "study.toml"
    code = f"{tmp_path}/elsewhere/code.py:Mine"
    for row in (f'controller = "{code}"', f'set = {{ "controller.use" = "{code}" }}'):
        study.write_text(
            'kind = "closed_loop"\nname = "s"\nconfig = "three_bus"\nseeds = 1\nsteps = 1\n'
            f'rows = [{{ label = "a", {row} }}]\n'
        )
        status, _, err = gridferry("study", study)
        assert status == 2
        assert "is code outside" in err
    assert not ran(tmp_path / "study")


@pytest.mark.parametrize("what", NAMING)
def test_without_code_nothing_runs_whoever_names_it(gridferry, theirs: Path, what: str) -> None:
    path = config(theirs, NAMING[what].format("code_theirs.py"))
    for command in (("check", path), ("run", path), ("schema", path) if what == "kind" else ("check", path)):
        code, out, err = gridferry(*command, "--no-code")
        assert code in (1, 2)
        assert "is code that does not come with GridFerry, and --no-code refuses it" in " ".join((out + err).split())
    own = f"{theirs}/code_theirs.py:Mine"
    for command in (("run", "three_bus", "--controller", own), ("check", own)):
        assert gridferry(*command, "--no-code")[0] == 2
    assert not ran(theirs)
    assert NO_CODE not in os.environ


def test_check_says_which_code_ran_or_that_none_did(gridferry, theirs: Path) -> None:
    path = config(theirs, NAMING["controller"].format("code_theirs.py"))
    code, out, _ = gridferry("check", path)
    assert code == 0
    assert f"this check ran code: {theirs}/code_theirs.py:Mine; check a config that you do not trust with" in out
    code, out, _ = gridferry("check", "three_bus", "--no-code")
    assert code == 0
    assert "no code ran but that of GridFerry (--no-code)" in out

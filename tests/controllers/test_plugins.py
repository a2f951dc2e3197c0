"""Plug-in controllers as users write them keep the contract, run in closed loop, and are told of names of old."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cases import REPOSITORY
from gridferry.controllers.conformance import assert_conforms
from gridferry.controllers.registry import find_controller
from gridferry.networks.faults import InputError
from gridferry.sim import run

PLUGINS = REPOSITORY / "tests" / "plugins"
SPECS = ("night_charger.py:NightCharger", "peak_shaver.py:PeakShaver")


@pytest.mark.parametrize("spec", SPECS)
def test_a_plug_in_keeps_the_contract(spec: str) -> None:
    assert_conforms(find_controller(spec, PLUGINS))


@pytest.mark.parametrize("spec", SPECS)
def test_a_plug_in_moves_energy_in_closed_loop_without_a_fallback(spec: str, tmp_path: Path) -> None:
    done = run("two_feeders", controller=str(PLUGINS / spec), steps=12, out=tmp_path / "run")
    assert done.summary["solver"]["failures"] == 0
    assert done.summary["fleet"]["charged_mwh"] + done.summary["fleet"]["discharged_mwh"] > 0.1


OLD = """
from controllers.contract import Controller, hold as stay
from controllers.sample_plants import at_start

class Still(Controller):
    '''Nothing moves.'''

    def plan(self, observation, forecast):
        return stay(self.plant, observation)
"""
LINES = (
    'line 2 of still.py write "from gridferry.controllers.contract import Controller, hold as stay"',
    'line 3 of still.py write "from gridferry.controllers.conformance.sample_plants import at_start"',
)


def refusal(spec: str, folder: Path) -> str:
    with pytest.raises(InputError) as raised:
        find_controller(spec, folder)
    return str(raised.value)


def test_bare_names_are_answered_with_the_lines_to_write(tmp_path: Path) -> None:
    (tmp_path / "still.py").write_text(OLD)
    message = refusal("still.py:Still", tmp_path)
    assert all(line in message for line in LINES)


def test_bare_names_are_answered_beside_folders_of_the_users_own_that_have_them(tmp_path: Path) -> None:
    (tmp_path / "controllers").mkdir()
    (tmp_path / "controllers" / "__init__.py").touch()
    (tmp_path / "still.py").write_text(OLD)
    message = refusal("still.py:Still", tmp_path)
    assert all(line in message for line in LINES)


def test_a_module_of_the_users_own_may_have_a_bare_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # as for a user, who does not stand in the checkout
    monkeypatch.setattr(sys, "path", [one for one in sys.path if Path(one).resolve() != REPOSITORY])
    monkeypatch.delitem(sys.modules, "sim", raising=False)
    (tmp_path / "sim.py").write_text("SHARE = 0.25\n")
    (tmp_path / "own.py").write_text(
        "from gridferry.controllers.idle import Idle\nfrom sim import SHARE\nfrom sim import NOTHING_LIKE_IT\n"
    )
    message = refusal("own.py:Idle", tmp_path)
    assert "NOTHING_LIKE_IT" in message
    assert "write" not in message

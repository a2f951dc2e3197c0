"""Kinds of devices on the command line: ``check`` tries one, ``new device`` writes one that works."""

import json
import sys
from pathlib import Path

import pytest

from gridferry.sim.loop.runner import load_run

PLUGINS = Path(__file__).parents[2] / "plugins"

LEAKY = """
from dataclasses import dataclass, replace
from chiller import Chiller

@dataclass(frozen=True)
class Leaky(Chiller):
    '''Forgets what it burns.'''
    table = "leaky"

    def step(self, state, request, now):
        after, outcome = super().step(state, request, now)
        return after, replace(outcome, source_mwh=0.0)

class Neither:
    pass
"""


@pytest.fixture
def written(gridferry, tmp_path):
    """A kind of device as written for a user, and one that breaks a promise."""
    code, out, _ = gridferry("new", "device", "chiller")
    assert code == 0
    assert out.splitlines()[:2] == ["wrote chiller.py", "wrote test_chiller.py"]
    (tmp_path / "leaky.py").write_text(LEAKY)
    yield gridferry
    for name in ("chiller", "leaky"):
        sys.modules.pop(name, None)


def test_new_device_writes_a_kind_that_keeps_every_promise_and_is_never_overwritten(written):
    code, out, err = written("check", "chiller.py:Chiller")
    assert (code, err) == (0, "")
    assert all(line.startswith("passed ") for line in out.splitlines())
    code, out, err = written("new", "device", "chiller")
    assert (code, out) == (2, "")
    assert "chiller.py: is there already" in err


def test_check_says_which_promise_a_device_breaks_with_an_example(written):
    code, out, _ = written("check", "leaky.py:Leaky")
    assert code == 1
    failed = out.splitlines().index("FAILED source - injected - loss is the change of what is stored")
    assert out.count("FAILED") == 1
    assert out.splitlines()[failed + 1].startswith("       D1: P = 1 MW, Q = 0 Mvar, availability = 1, from ")
    code, out, _ = written("check", "leaky.py:Leaky", "--json")
    reported = json.loads(out)
    assert (code, reported["device"], reported["passed"]) == (1, "leaky.py:Leaky", False)
    assert [one["name"] for one in reported["findings"] if not one["passed"]] == [
        "source - injected - loss is the change of what is stored"
    ]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("leaky.py", 'name the class too: "leaky.py:Class"; there is Chiller, Leaky'),
        ("leaky.py:Neither", "Neither is no controller or device; derive it from gridferry.controllers.Controller or "),
        ("leaky.py:Leaking", 'no such class; there is Chiller, Leaky (did you mean "Leaky"?) in leaky.py'),
        ("gone.py:Leaky", "no file gone.py in "),
        ("truck", "no such config, controller or kind of device; there is"),
    ],
)
def test_what_is_no_class_to_check_is_bad_input(written, spec, message):
    code, out, err = written("check", spec)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize("spec", ["batteries", f"{PLUGINS / 'capacitor_bank.py'}:CapacitorBank"])
def test_kinds_are_checked_by_the_name_of_their_table_or_their_file(gridferry, spec):
    code, out, _ = gridferry("check", spec, "--json")
    assert code == 0
    assert json.loads(out)["device"] == spec


def test_the_device_that_was_written_runs_in_a_config(written, tmp_path):
    (tmp_path / "case.toml").write_text(
        """
        name = "with_chiller"
        [devices]
        use = ["chiller.py:Chiller"]
        [time]
        start = 2024-07-15T00:00:00+02:00
        step_s = 3600
        steps = 3
        [[networks]]
        name = "dn1"
        feeder = "three_bus"
        [[loads]]
        network = "dn1"
        factor = 0.5
        [[chillers]]
        name = "D1"
        network = "dn1"
        bus = "3"
        p_max_mw = 0.5
        [controller]
        use = "replay"
        file = "plan.csv"
        """
    )
    (tmp_path / "plan.csv").write_text("step,device,p_mw,q_mvar,position\n1,D1,0.4,0,\n2,D1,0.5,0,\n")
    assert written("check", "case.toml")[0] == 0
    assert written("run", "case.toml", "--out", "run")[0] == 0
    recorded = load_run(tmp_path / "run").table("chillers")
    assert recorded["started"].tolist() == [False, True, False]
    assert recorded["injected_mwh"].tolist() == pytest.approx([0.0, 0.4, 0.5])
    assert recorded["starts"].tolist() == [0.0, 5.0, 0.0]

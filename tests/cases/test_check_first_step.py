"""`check` of a config solves its first step at rest: diverged, limits broken, powers in kW; and it notes an offset."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest

from gridferry.sim.commands.check import check_command

CASE = """
    name = "first"
    [time]
    start = 2024-05-01T00:00:00{offset}
    step_s = 3600
    steps = {steps}
    [[networks]]
    name = "dn1"
    feeder = "ieee33"
    v_min_pu = {v_min_pu}
    [[loads]]
    network = "dn1"
    factor = {factor}
    [[generators]]
    name = "pv"
    network = "dn1"
    bus = "18"
    p_mw = {pv_mw}
    [[batteries]]
    name = "B"
    network = "dn1"
    bus = "18"
    energy_mwh = {energy_mwh}
    p_max_mw = {p_max_mw}
"""
SOUND = {"offset": "", "steps": 2, "v_min_pu": 0.9, "factor": 1.0, "pv_mw": 0.2, "energy_mwh": 2.0, "p_max_mw": 0.5}


@pytest.mark.parametrize(
    ("changed", "code", "faults", "notes"),
    [
        ({}, 0, [], []),
        ({"offset": "+02:00", "steps": 25}, 0, [], ["has an offset and no timezone, so all days have 24 hours"]),
        (
            {"v_min_pu": 0.95},
            0,
            [],
            ["at rest the first step breaks limits: 19 buses below theirs, bus 33"],
        ),
        (
            {"factor": 5.0},
            1,
            ["diverges in the first step, with all devices at rest and 18.38 MW of net load"],
            [],
        ),
        # 0.2 MW of sun and a battery of 0.5 MW in kW, and one of 0.9 MWh in kWh
        ({"pv_mw": 200.0}, 1, ["diverges"], ["it gives up to 200 MW, of which the lines to its bus carry"]),
        ({"p_max_mw": 500.0}, 0, [], ["its rating is up to 500 MW, of which the lines to its bus carry"]),
        ({"energy_mwh": 900.0}, 0, [], ["take 1800 h to fill it: kWh for MWh?"]),
        ({"factor": 1000.0}, 1, ["diverges"], ["has a load up to 210 MW, of which the lines to its bus carry"]),
    ],
)
def test_the_first_step_is_solved_at_rest_and_units_that_no_line_carries_are_named(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changed: dict[str, float | str],
    code: int,
    faults: list[str],
    notes: list[str],
) -> None:
    path = tmp_path / "case.toml"
    path.write_text(textwrap.dedent(CASE.format(**SOUND | changed)))
    assert check_command(str(path), 60.0, True) == code
    found = json.loads(capsys.readouterr().out)
    for kind, expected in (("faults", faults), ("notes", notes)):
        messages = [one["message"] for one in found[kind]]
        assert len(messages) == len(expected), messages
        assert all(words in message for words, message in zip(expected, messages, strict=True)), messages

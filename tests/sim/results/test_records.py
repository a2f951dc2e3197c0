"""What is on disk, and how old it may be."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import pytest
from plugins.capacitor_bank import CapacitorBank

from gridferry.controllers.contract import Plant
from gridferry.controllers.devices import Column
from gridferry.controllers.devices.registry import find_kind
from gridferry.networks.faults import InputError
from gridferry.sim.case.loading import load_config
from gridferry.sim.case.plant import build_plant
from gridferry.sim.results.costs import operating_cost
from gridferry.sim.results.display import figure_rows
from gridferry.sim.results.export import export_run
from gridferry.sim.results.kind_tables import BALANCE, kind_columns, kind_values
from gridferry.sim.results.metrics import RunFacts, summarise
from gridferry.sim.results.record_tables import (
    TABLES,
    all_tables,
    other_form,
)
from gridferry.sim.results.records import Recorder, StepRecord
from gridferry.sim.results.run_directory import open_results

BANK = "plugins.capacitor_bank:CapacitorBank"


class Clock:
    """Time that passes when a test says so [s]."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def record(step: int) -> StepRecord:
    """A step of the three-bus feeder of which nothing is known."""
    widths = {"bus": 3, "line": 2, "network": 1}
    unknown = {name: {key: [float("nan")] * width for key in TABLES[name]} for name, width in widths.items()}
    return StepRecord(step=step, **unknown, device=[], plan=[], cost=[], position=[], kinds={}, row={}, checkpoint={})


@pytest.fixture
def recorder(tmp_path):
    loaded = load_config("three_bus")
    clock = Clock()
    path, plant, steps = tmp_path / "results.duckdb", build_plant(loaded).plant, loaded.config.record.flush_steps
    recorder = Recorder(path, plant, ["dn1"], steps, clock)
    yield recorder, clock
    recorder.close()


def lasting(recorder, clock, *seconds):
    """Add steps that last so long, and return how many were on disk after each."""
    kept = []
    for step, one in enumerate(seconds):
        clock.now += one
        recorder.add(record(step))
        kept += recorder._connection.execute("SELECT count(*) FROM step").fetchone()
    return kept


def test_a_record_that_is_there_is_described_when_its_run_is_killed_before_it_is_opened_again(tmp_path, monkeypatch):
    plant, path = build_plant(load_config("three_bus")).plant, tmp_path / "results.duckdb"
    opened = []

    def connect(*given, **named):
        opened.append(given)
        if len(opened) == 2:
            raise KeyboardInterrupt  # the first was beside the place of the database
        return duckdb_connect(*given, **named)

    duckdb_connect = duckdb.connect
    monkeypatch.setattr(duckdb, "connect", connect)
    with pytest.raises(KeyboardInterrupt):
        Recorder(path, plant, ["dn1"], 1)
    with open_results(tmp_path) as connection:
        assert other_form(connection, plant.kinds) == []
        assert connection.execute("SELECT count(*) FROM bus_info").fetchone() == (3,)


def test_quick_steps_are_committed_96_at_a_time(recorder):
    assert lasting(*recorder, *[0.01] * 100) == [0] * 95 + [96] * 5


def test_step_that_lasts_longer_than_5_s_is_committed_when_it_ends(recorder):
    assert lasting(*recorder, 5.1, 60.0, 60.0) == [1, 2, 3]


@pytest.mark.parametrize("seconds", [0.1, 0.7, 1.0, 2.0, 2.4, 3.0, 4.9])
def test_nothing_waits_longer_than_5_s_where_steps_last_equally_long(recorder, seconds):
    kept = lasting(*recorder, *[seconds] * 30)
    longest = max(number + 1 - done for number, done in enumerate(kept))
    assert longest * seconds <= 5.0
    assert len(set(kept)) <= 30 * seconds / 2.0 + 1 or seconds > 2.5  # and not every step has a transaction of its own


def with_bank() -> Plant:
    """The three-bus plant with a capacitor bank, too."""
    plant = build_plant(load_config("three_bus")).plant
    return replace(plant, devices=(*plant.devices, CapacitorBank("C1", 2, 3, 0.3, 0.003, 5.0)))


def test_a_kind_of_a_users_own_has_a_table_and_a_changed_one_is_named_with_its_versions(tmp_path, monkeypatch):
    plant = with_bank()
    bank = plant.devices[-1]
    outcome = {
        "ports": [{"p_mw": -0.006, "loss_mwh": 0.0015}],
        "source_mwh": 0.0,
        "stored_change_mwh": 0.0,
        "money": {"switching": 10.0},
        "row": {"switched": 2},
    }
    values = kind_values(0, "2024-05-01T00:00:00", bank, outcome, 0.25)
    recorder = Recorder(tmp_path / "results.duckdb", plant, ["dn1"], 96)
    recorder.add(replace(record(0), kinds={"capacitor_banks": [values]}))
    recorder.close()
    with open_results(tmp_path) as results:
        assert "capacitor_banks" in all_tables(results)
        (row,) = results.execute("SELECT * FROM capacitor_banks").fetchall()
        assert row == (0, "2024-05-01T00:00:00", "C1", 2, 0.0, -0.0015, 0.0015, 0.0, 10.0)
        assert other_form(results, plant.kinds) == []
        monkeypatch.setattr(CapacitorBank, "version", 2)
        assert other_form(results, plant.kinds) == ["capacitor_bank in version 1, now 2"]
    (file,) = [one for one in export_run(tmp_path, "csv", tmp_path / "csv") if one.stem == "capacitor_banks"]
    assert file.read_text().splitlines()[0].startswith("step,time,device,switched,source_mwh,")
    with pytest.raises(ValueError, match=r"capacitor_banks\.C1 records \['rust'\], which CapacitorBank has not"):
        kind_values(0, "", bank, outcome | {"row": {"rust": 1.0}}, 0.25)


def test_the_totals_of_a_users_own_kind_are_in_the_summary_and_side_by_side(tmp_path, monkeypatch):
    columns = {
        "switched": Column(unit="", meaning="capacitors switched in this step", of=int, total="sum"),
        "on": Column(unit="", meaning="capacitors switched on", of=int, total="last"),
        "q_mvar": Column(unit="Mvar", meaning="injected", total="max"),
    }
    monkeypatch.setattr(CapacitorBank, "columns", columns)
    plant = with_bank()
    outcome = {"ports": [], "source_mwh": 0.0, "stored_change_mwh": 0.0, "money": {"switching": 10.0}}
    recorder = Recorder(tmp_path / "results.duckdb", plant, ["dn1"], 96)
    for step, (switched, on, q_mvar) in enumerate([(2, 2, 0.6), (1, 3, float("nan")), (3, 0, 0.0)]):
        done = outcome | {"row": {"switched": switched, "on": on, "q_mvar": q_mvar}}
        values = kind_values(step, "", plant.devices[-1], done, 0.25)
        money = [{"term": "switching", "cost": 10.0}, {"term": "energy", "cost": 1.0}]
        network = {**record(step).network, "converged": [True]}
        recorder.add(replace(record(step), kinds={"capacitor_banks": [values]}, cost=money, network=network))
    recorder.close()
    with open_results(tmp_path) as results:
        summary = summarise(results, RunFacts(0.25, 0.5, 1e-6, 1e-3))
    assert summary["kinds"]["capacitor_banks"] == {
        "devices": 1,
        "totals": {"switched": 6, "q_mvar": 0.6, **dict.fromkeys(BALANCE, 0.0)},
        "last": {"on": {"C1": 0}},
        "cost": {"switching": 30.0},
    }
    assert summary["cost"]["terms"] == {"switching": 30.0, "energy": 3.0}
    assert (summary["cost"]["grid"], summary["cost"]["profit"]) == (3.0, -33.0)
    assert operating_cost(summary) == 33.0
    shown = figure_rows([summary | {"currency": "EUR"}, {"currency": "EUR"}])
    rows = {label: values for section, label, values in shown if section == "capacitor_banks"}
    assert rows == {
        "devices": ["1", "–"],
        "switched": ["6", "–"],
        "q_mvar": ["0.6000", "–"],
        "switching, EUR": ["30.00", "–"],
    }


def test_a_text_has_no_sum(monkeypatch):
    monkeypatch.setattr(CapacitorBank, "columns", {"said": Column(unit="", meaning="a text", of=str, total="sum")})
    with pytest.raises(InputError, match="CapacitorBank: said: texts have no sum and no max"):
        find_kind(BANK)


def test_kinds_whose_names_are_taken_are_refused_before_anything_is_recorded(monkeypatch):
    assert set(kind_columns(CapacitorBank)) >= {"step", "switched", "switching"}
    monkeypatch.setattr(CapacitorBank, "costs", {"Switched": "a cost"})
    with pytest.raises(InputError, match="switched: columns and costs share these names"):
        find_kind(BANK)
    monkeypatch.setattr(CapacitorBank, "costs", {})
    monkeypatch.setattr(CapacitorBank, "table", "../elsewhere")
    with pytest.raises(InputError, match="letters"):
        find_kind(BANK)


def test_what_is_recorded_can_reach_no_other_file(recorder, tmp_path):
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(duckdb.PermissionException):
        recorder[0]._connection.execute(f"SELECT * FROM read_csv('{tmp_path}/secret.csv')")

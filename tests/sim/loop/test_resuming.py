"""Promises of a run that is resumed: it is the whole run, and what does not fit is refused in one line."""

import json

import duckdb
import pytest

from cases.same_results import assert_same_results
from gridferry.networks.faults import InputError
from gridferry.sim.loop.runner import run


def flat(figures, name=""):
    """Figures by their dotted names."""
    if not isinstance(figures, dict):
        return {name: figures}
    return {key: value for inner, one in figures.items() for key, value in flat(one, f"{name}.{inner}").items()}


def test_a_run_in_two_halves_equals_the_whole(tmp_path):
    whole = run("three_bus", out=tmp_path / "whole")
    run("three_bus", steps=61, out=tmp_path / "halves")
    halves = run("three_bus", out=tmp_path / "halves", resume=True)
    assert_same_results(whole, halves, atol=0)
    for key in ("cost", "grid", "fleet", "plan_vs_ac", "dispatch", "steps"):
        one, other = flat(halves.summary[key]), flat(whole.summary[key])
        assert one == pytest.approx(other, rel=1e-12)
    assert (tmp_path / "halves" / "plan.csv").read_text() == (tmp_path / "whole" / "plan.csv").read_text()


def test_resuming_with_another_config_is_refused(tmp_path):
    run("three_bus", steps=3, out=tmp_path / "run")
    with pytest.raises(InputError, match="not the one this run was started with"):
        run("three_bus", overrides=["trucks.T1.soc_min=0.3"], out=tmp_path / "run", resume=True)


def test_resuming_a_run_whose_checkpoint_has_states_of_another_form_is_refused_in_one_line(tmp_path):
    run("two_feeders", controller="rules", steps=2, out=tmp_path / "run")
    with duckdb.connect(str(tmp_path / "run" / "results.duckdb")) as connection:
        (text,) = connection.execute("SELECT state FROM checkpoint").fetchone()
        checkpoint = json.loads(text)
        checkpoint["state"] = {"energy_mwh": [1.0, 0.5, 0.75], "station": [0]}
        connection.execute("UPDATE checkpoint SET state = ?", [json.dumps(checkpoint)])
    with pytest.raises(InputError, match="was recorded by another version") as refused:
        run("two_feeders", controller="rules", out=tmp_path / "run", resume=True)
    (fault,) = refused.value.faults
    assert "batteries.bess1" in fault.message
    assert fault.message.endswith("run it into a new directory")


def test_resuming_a_run_that_was_recorded_with_other_versions_of_kinds_is_refused_in_one_line(tmp_path):
    done = run("two_feeders", controller="rules", steps=2, out=tmp_path / "run")
    versions = dict(zip(*(done.table("kind_info")[one] for one in ("kind", "version")), strict=True))
    with duckdb.connect(str(tmp_path / "run" / "results.duckdb")) as connection:
        connection.execute("""UPDATE kind_info SET version = 7 WHERE kind IN ('truck', 'terminal')""")
    with pytest.raises(InputError, match="was recorded by another version") as refused:
        run("two_feeders", controller="rules", out=tmp_path / "run", resume=True)
    (fault,) = refused.value.faults
    truck, terminal = versions["truck"], versions["terminal"]
    assert f"(truck in version 7, now {truck}; terminal in version 7, now {terminal})" in fault.message


def test_resuming_a_run_of_before_kinds_had_tables_is_refused_and_its_tables_are_still_read(tmp_path):
    done = run("two_feeders", controller="rules", steps=2, out=tmp_path / "run")
    with duckdb.connect(str(tmp_path / "run" / "results.duckdb")) as connection:
        for table in ("kind_info", "column_info", "trucks", "batteries", "links", "generators"):
            connection.execute(f"DROP TABLE {table}")
    with pytest.raises(InputError, match=r"was recorded by another version, or is damaged \(no table kind_info\)"):
        run("two_feeders", controller="rules", out=tmp_path / "run", resume=True)
    assert len(done.table("device")) == 2 * 5
    with pytest.raises(KeyError, match="no such table 'trucks'"):
        done.table("trucks")

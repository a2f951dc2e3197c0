"""Promises of the loop: replay, divergence, clipping, fallbacks, memory."""

import json
import subprocess
import sys
import textwrap

import duckdb
import numpy as np
import pandapower as pp
import pandas as pd
import pytest

from cases.same_results import assert_same_results
from gridferry.sim.config.schema import OnFailure
from gridferry.sim.loop.execution import VerdictKind
from gridferry.sim.loop.runner import RunFailedError, load_run, run
from gridferry.sim.loop.validation import validate


@pytest.mark.parametrize("config", ["three_bus", "two_feeders"])
def test_a_plan_written_by_a_run_replays_to_the_same_ac_results(tmp_path, config):
    first = run(config, controller="rules", out=tmp_path / "first")
    verdict = validate(tmp_path / "first" / "plan.csv", config, out=tmp_path / "again")
    assert_same_results(first, verdict.run)
    assert verdict.feasible == (first.summary["grid"]["violations"] == 0)
    assert verdict.kind == first.summary["verdict"]
    assert verdict.run.summary["execution"] == first.summary["execution"]


def test_the_plan_of_the_first_steps_replays_as_the_first_steps(tmp_path):
    first = run("three_bus", steps=30, out=tmp_path / "first")
    again = validate(tmp_path / "first" / "plan.csv", "three_bus", steps=30, out=tmp_path / "again").run
    assert first.summary["steps"] == again.summary["steps"] == 30
    assert_same_results(first, again)


@pytest.mark.parametrize(
    ("config", "controller", "steps"),
    [("two_feeders", "rules", 96), ("late_trucks", "rules", 48)],
)
def test_every_kind_has_a_table_of_its_own_that_balances_and_agrees_with_table_device(
    tmp_path, config, controller, steps
):
    done = run(config, controller=controller, steps=steps, out=tmp_path / "run")
    device, step = done.table("device"), done.table("step")
    tables = {one: done.table(one) for one in done.table("kind_info")["table"]}
    assert set(tables) >= {"trucks", "generators"}
    times = step.set_index("step")["time"]
    for table in tables.values():
        assert (table["time"] == table["step"].map(times)).all()
        rest = table["source_mwh"] - table["injected_mwh"] - table["loss_mwh"] - table["stored_change_mwh"]
        assert rest.abs().max() < 1e-12
    trucks = tables["trucks"]
    rows = trucks.merge(device, on=["step", "device"], suffixes=("", "_device"))
    assert len(rows) == len(trucks) > 0
    shared = [name for name in device if f"{name}_device" in rows]
    assert {"phase", "station", "departed", "transit_steps", "km", "soc", "loss_mwh"} <= set(shared)
    for name in shared:
        pd.testing.assert_series_equal(rows[name], rows[f"{name}_device"], check_names=False, check_dtype=False)
    np.testing.assert_allclose(rows["fuel"] + rows["labour"], rows["truck_cost"])
    np.testing.assert_allclose(rows["wear"], rows["wear_cost"])
    paid = tables["generators"].groupby("step")["feed_in"].sum()
    np.testing.assert_allclose(paid, step["res_cost"], rtol=1e-12)
    meant = done.table("column_info")
    assert set(meant.loc[meant["table"] == "trucks", "column"]) < set(trucks)


def test_tables_of_what_does_not_change_are_read_as_all_others_are(tmp_path):
    done = run("two_feeders", steps=1, out=tmp_path / "run")
    assert len(done.table("bus_info")) == len(done.table("bus"))
    assert len(done.table("line_info")) == len(done.table("line"))
    assert done.table("device_info")["device"].tolist() == done.table("device")["device"].tolist()
    with pytest.raises(KeyError, match=r"no such table .busses.; there is bus, line, .*, trucks, .*, bus_info"):
        done.table("busses")


@pytest.mark.parametrize(
    ("config", "controller", "steps"),
    [("two_feeders", "rules", 96), ("late_trucks", "rules", 48), ("joint_2dn", "rules", 24), ("three_bus", "idle", 6)],
)
def test_what_a_device_gives_and_loses_is_taken_from_its_store_in_every_step(tmp_path, config, controller, steps):
    done = run(config, controller=controller, steps=steps, out=tmp_path / "run")
    with duckdb.connect(str(tmp_path / "run" / "results.duckdb"), read_only=True) as connection:
        whole = connection.execute("SELECT device, belongs_to FROM device_info").df()
    device = done.table("device").merge(whole, on="device")
    assert len(device)
    gain = (device["energy_mwh"] - device["energy_start_mwh"]).fillna(0.0)
    device["balance"] = done.summary["step_s"] / 3600.0 * device["p_mw"] + device["loss_mwh"] + gain
    assert device.groupby(["step", "belongs_to"])["balance"].sum().abs().max() < 1e-12
    for _, store in device[device["energy_mwh"].notna()].sort_values("step").groupby("device"):
        assert store["energy_mwh"].tolist()[:-1] == store["energy_start_mwh"].tolist()[1:]


def test_a_diverging_step_is_recorded_counted_and_left_behind(tmp_path):
    day = pd.DataFrame({"hour": np.arange(24.0), "factor": [1.0] * 10 + [8.0, 8.0] + [0.5] * 12})
    day.to_csv(tmp_path / "day.csv", index=False)
    config = tmp_path / "case.toml"
    config.write_text(
        textwrap.dedent("""
            name = "diverging"
            [time]
            start = 2024-05-01T00:00:00
            step_s = 3600
            steps = 24
            [profiles.day]
            file = "day.csv"
            time = "hour"
            [[networks]]
            name = "dn1"
            feeder = "ieee33"
            [[loads]]
            network = "dn1"
            factor = "day.factor"
        """)
    )
    done = run(config, out=tmp_path / "run")
    network, bus = done.table("network"), done.table("bus")
    assert done.summary["grid"] == {"diverged_steps": 2}
    assert done.summary["where_solved"]["steps"] == 22
    assert network.loc[~network["converged"], "step"].tolist() == [10, 11]
    assert bus.loc[bus["step"].isin([10, 11]), ["v_pu", "va_deg"]].isna().all().all()
    v = bus["v_pu"].to_numpy().reshape(24, 33)
    # the steps before are all alike, and so are those after: nothing of the failure lingers
    np.testing.assert_allclose(v[:10], np.tile(v[0], (10, 1)), rtol=0, atol=1e-9)
    np.testing.assert_allclose(v[12:], np.tile(v[-1], (12, 1)), rtol=0, atol=1e-9)
    assert v[0].min() == pytest.approx(0.913090, abs=1e-5)
    assert v[12].min() > v[0].min() + 0.03


def plan_csv(path, rows):
    lines = "".join(f"{step},{device},{p!r},{q!r},{station}\n" for step, device, p, q, station in rows)
    path.write_text("step,device,p_mw,q_mvar,station\n" + lines)
    return path


def test_power_requested_of_a_driving_truck_is_clipped_and_reported(tmp_path):
    plan = plan_csv(tmp_path / "plan.csv", [(t, "T1", 1.0, 0.0, "S3") for t in range(6)])
    verdict = validate(plan, "three_bus", steps=6, out=tmp_path / "run")
    assert verdict.kind is VerdictKind.NOT_EXECUTED
    truck = verdict.run.table("device")
    moving = truck["phase"] != "parked"
    assert moving.sum() == 4  # 19.92 km at 40 km/h, 5 min installation, 1.6 min of traffic: 36.5 min
    assert (truck.loc[moving, "p_mw"] == 0).all()
    assert truck.loc[[4, 5], "p_mw"].tolist() == [1.0, 1.0]
    assert [one.step for one in verdict.shortfalls] == [0, 1, 2, 3]
    assert verdict.run.summary["fleet"]["shortfall_mwh"] == pytest.approx(4 / 6)
    assert all("in_transit" in one.reasons for one in verdict.shortfalls)


def test_a_plan_that_breaks_a_voltage_limit_is_named_with_bus_step_and_size(tmp_path):
    plan = plan_csv(
        tmp_path / "plan.csv", [(t, "T1", 0.0, 0.0, "S3") for t in range(6)] + [(9, "T1", -3.25, 0.0, "S3")]
    )
    verdict = validate(plan, "three_bus", out=tmp_path / "run", overrides=["networks.dn1.v_min_pu=0.993"])
    assert not verdict.feasible
    worst = verdict.violations[0]
    assert (worst.kind, worst.network, worst.element, worst.step) == ("voltage", "dn1", "3", 9)
    bus = verdict.run.table("bus")
    v = bus[(bus["step"] == 9) & (bus["bus"] == "3")]["v_pu"].item()
    assert worst.value == v
    assert worst.excess == pytest.approx(0.993 - v)
    assert "bus 3" in str(worst)
    assert "step 9" in str(worst)


def write_plugin(path, body):
    path.write_text(
        "from gridferry.controllers.contract import Controller, ControllerError, hold\n"
        "import numpy as np\n"
        "from dataclasses import replace\n"
        "class Broken(Controller):\n"
        "    '''Fails on purpose.'''\n"
        "    def plan(self, observation, forecast):\n" + textwrap.indent(textwrap.dedent(body), " " * 8)
    )
    return f"{path}:Broken"


def test_a_failing_controller_falls_back_and_the_run_says_so(tmp_path):
    spec = write_plugin(
        tmp_path / "broken.py",
        """
        if observation.step == 3:
            raise ControllerError("no plan today")
        if observation.step == 5:
            return 1 / 0
        if observation.step == 7:
            plan = hold(self.plant, observation)
            return replace(plan, p_mw=plan.p_mw + np.nan)
        if observation.step == 9:
            plan = hold(self.plant, observation)
            return replace(plan, p_mw=plan.p_mw + 4.0)
        if observation.step == 11:
            return "a plan"
        plan = hold(self.plant, observation, rows=2)
        p = plan.p_mw.copy()
        p[:, 0] = 0.5, 0.25
        return replace(plan, p_mw=p)
        """,
    )
    done = run("three_bus", controller=spec, steps=13, out=tmp_path / "run")
    step, device = done.table("step"), done.table("device")
    assert step.loc[step["fallback"] != "", "step"].tolist() == [3, 5, 7, 9, 11]
    assert set(step.loc[step["fallback"] != "", "fallback"]) == {"previous_plan"}
    for number, words in ((3, "no plan today"), (5, "ZeroDivisionError"), (7, "finite"), (9, "4 MW"), (11, "str")):
        assert words in step.loc[number, "failure"]
    assert device["p_mw"].tolist() == [0.25 if t in (3, 5, 7, 9, 11) else 0.5 for t in range(13)]
    assert done.summary["solver"]["fallbacks"] == done.summary["solver"]["failures"] == 5


def test_on_failure_idle_idles_and_stop_stops_with_the_results_so_far(tmp_path):
    spec = write_plugin(
        tmp_path / "broken.py",
        """
        if observation.step == 4:
            raise ControllerError("no plan today")
        plan = hold(self.plant, observation, rows=3)
        return replace(plan, p_mw=plan.p_mw + 0.5)
        """,
    )
    idle = run("three_bus", controller=spec, overrides=['controller.on_failure="idle"'], steps=6, out=tmp_path / "idle")
    assert idle.table("device")["p_mw"].tolist() == [0.5, 0.5, 0.5, 0.5, 0.0, 0.5]
    with pytest.raises(RunFailedError, match="step 4: ControllerError: no plan today") as failed:
        run(
            "three_bus", controller=spec, overrides=[f'controller.on_failure="{OnFailure.STOP}"'], out=tmp_path / "stop"
        )
    kept = load_run(failed.value.directory)
    assert kept.summary["status"] == "failed"
    assert kept.summary["steps"] == 4
    assert kept.table("device")["step"].tolist() == [0, 1, 2, 3]
    assert json.loads((tmp_path / "stop" / "manifest.json").read_text())["status"] == "failed"


WATCH_MEMORY = """
import sys
from gridferry.sim.loop.runner import run

page = 4096
held = {}

def watch(live):
    if live.step in (3000, 6000):
        held[live.step] = int(open("/proc/self/statm").read().split()[1]) * page

run(sys.argv[1], out=sys.argv[2], progress=watch)
print(*(held[step] for step in sorted(held)))
"""


@pytest.mark.long
@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_steps(tmp_path):
    """6,000 steps in a process of their own: after the last it holds what it held after the first 3,000."""
    config = tmp_path / "long.toml"
    config.write_text(
        textwrap.dedent("""
            name = "long"
            [time]
            start = 2024-05-01T00:00:00
            step_s = 60
            steps = 6000
            horizon_steps = 1
            [[networks]]
            name = "dn1"
            feeder = "ieee33"
            [[loads]]
            network = "dn1"
            factor = 0.5
        """)
    )
    arguments = [sys.executable, "-c", WATCH_MEMORY, str(config), str(tmp_path / "run")]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=3600, check=True)
    early, late = (int(word) for word in done.stdout.split())
    # a step is 33 buses and 32 lines of some eight figures each: kept as Python numbers, 3,000 of them would be 45 MB
    # and more; DuckDB fills a buffer of at most 48 MB while its file grows, by steps of some MB
    assert late - early < 24e6, (early, late)


def test_customers_pay_for_their_load_whatever_the_networks_own_sources_give(tmp_path):
    net = pp.create_empty_network()
    slack, end = (pp.create_bus(net, 20.0, name=name) for name in ("slack", "end"))
    pp.create_ext_grid(net, slack)
    pp.create_line(net, slack, end, 5.0, "NA2XS2Y 1x185 RM/25 12/20 kV")
    pp.create_load(net, end, p_mw=0.8, q_mvar=0.2)
    pp.create_sgen(net, end, p_mw=0.3, q_mvar=0.1)
    pp.to_json(net, str(tmp_path / "net.json"))
    config = tmp_path / "case.toml"
    config.write_text(
        textwrap.dedent("""
            name = "own_source"
            [time]
            start = 2024-05-01T00:00:00
            step_s = 3600
            steps = 2
            [[networks]]
            name = "dn1"
            feeder = "net.json"
            [[loads]]
            network = "dn1"
            factor = 0.5
            [prices]
            sell = 100.0
            buy = 50.0
        """)
    )
    done = run(config, out=tmp_path / "run")
    net.load["scaling"] = 0.5
    pp.runpp(net, tolerance_mva=1e-10)
    bought = 2 * net.res_ext_grid.p_mw.item()
    assert done.summary["grid"]["import_mwh"] == pytest.approx(bought, rel=1e-8)
    assert done.summary["grid"]["losses_mwh"] == pytest.approx(2 * net.res_line.pl_mw.sum(), rel=1e-6)
    assert done.summary["cost"]["income"] == pytest.approx(2 * 0.4 * 100.0, rel=1e-12)
    assert done.summary["cost"]["controllable_cost"] == pytest.approx(50.0 * (bought - 2 * (0.4 - 0.3)), rel=1e-6)
    bus = done.table("bus").set_index(["step", "bus"]).loc[(0, "end")]
    assert (bus.p_load_mw, bus.p_gen_mw) == (pytest.approx(0.4), pytest.approx(0.3))

"""The command ``gridferry``: what it prints, writes and returns when all is well."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from gridferry.sim.config.reading import configs_dir
from gridferry.sim.loop.runner import load_run

# design of the summary: what every run with a truck says
KEYS = {
    "": {"status", "config", "controller", "steps", "step_s", "seed", "currency", "balance_error_rel_max"},
    "cost": {
        *("income", "grid", "mess", "truck", "ess", "res", "profit", "procurement_cost", "controllable_cost"),
    },
    "grid": {"import_mwh", "export_mwh", "losses_mwh", "v_min_pu", "v_max_pu", "violations", "diverged_steps"},
    "plan_vs_ac": {"v_max_abs_pu", "v_rms_pu", "losses_rel_error"},
    "fleet": {
        *("trips", "km", "cycles_max", "charged_mwh", "discharged_mwh", "soc_min", "soc_max", "soc_end"),
        "shortfall_mwh",
    },
    "solver": {"calls", "failures", "fallbacks", "seconds_total"},
}


# ------------------------------------------------------------------------------------------------------------------ run
def test_run_json_prints_one_object_with_the_promised_keys_and_nothing_else(finished):
    directory, done = finished
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    summary = json.loads(done.stdout)
    for table, keys in KEYS.items():
        assert keys <= set(summary[table] if table else summary), table
    assert summary.pop("directory") == str(directory)
    assert summary == json.loads((directory / "summary.json").read_text())
    assert {path.name for path in directory.iterdir()} == {
        *("config.toml", "manifest.json", "results.duckdb", "summary.json", "plan.csv")
    }


def test_run_prints_a_table_that_no_terminal_is_too_narrow_for(gridferry, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    code, out, err = gridferry("run", "three_bus", "--steps", 2, "--out", "my run")
    assert (code, err) == (0, "")
    summary = load_run("my run").summary
    assert f"{summary['cost']['profit']:,.2f}" in out
    assert f"{summary['grid']['v_min_pu']:.5f}" in out
    assert "…" not in out
    assert "results: my run" in out


def test_run_takes_seed_steps_settings_and_controller(gridferry):
    arguments = ("run", "three_bus", "--seed", 7, "--steps", 3, "--controller", "idle", "--out", "run", "--json")
    code, out, _ = gridferry(*arguments, "--set", "trucks.T1.soc_initial=0.6", "--set", "name='My case'")
    summary = json.loads(out)
    assert code == 0
    assert [summary[key] for key in ("seed", "steps", "controller", "config")] == [7, 3, "idle", "My case"]
    assert summary["fleet"]["soc_end"] == 0.6
    used = tomllib.loads(Path("run/config.toml").read_text())
    assert (used["seed"], used["trucks"][0]["soc_initial"]) == (7, 0.6)


def test_settings_are_those_of_the_controller_that_is_chosen(gridferry):
    options = ("--controller", "rules", "--set", "controller.power_share=0.25", "--steps", 1, "--out")
    assert gridferry("run", "ieee33_day", *options, "run")[0] == 0
    assert tomllib.loads(Path("run/config.toml").read_text())["controller"]["power_share"] == 0.25
    code, _, err = gridferry("run", "three_bus", "--controller", "idle", "--set", "controller.power_share=0.25")
    assert code == 2
    assert "--set: controller.power_share = 0.25: no such option" in err
    code, _, err = gridferry("run", "three_bus", "--controller", "idle", "--set", "controller.use=rules")
    assert code == 2
    assert "contradicts --controller" in err


def test_run_without_out_makes_a_directory_named_after_the_config(gridferry):
    code, out, _ = gridferry("run", "three_bus", "--steps", 1, "--set", "name=My run", "--json")
    assert code == 0
    (directory,) = Path("runs").iterdir()
    assert re.fullmatch(r"My-run-\d{8}-\d{6}-\d{3}", directory.name)
    assert json.loads(out)["directory"] == str(directory)


def test_run_that_exists_is_kept_unless_overwriting_is_requested(gridferry):
    gridferry("run", "three_bus", "--steps", 1, "--out", "run")
    before = {path: path.read_bytes() for path in Path("run").iterdir()}
    code, out, err = gridferry("run", "three_bus", "--steps", 2, "--out", "run", "--json")
    assert (code, out) == (2, "")
    assert "--out: run: contains a run" in err
    assert "--overwrite" in err
    assert {path: path.read_bytes() for path in Path("run").iterdir()} == before
    assert gridferry("run", "three_bus", "--steps", 2, "--out", "run", "--overwrite")[0] == 0
    assert load_run("run").summary["steps"] == 2


def test_config_and_run_on_paths_with_spaces_and_umlauts(gridferry):
    folder = Path("Fälle für uns")
    folder.mkdir()
    (folder / "über.toml").write_text('extends = "three_bus"\nname = "case"\n')
    assert gridferry("check", folder / "über.toml")[0] == 0
    code, out, _ = gridferry("run", folder / "über.toml", "--steps", 2, "--out", folder / "Lauf 1", "--json")
    assert code == 0
    assert json.loads(out)["directory"] == str(folder / "Lauf 1")
    assert gridferry("compare", folder / "Lauf 1")[0] == 0
    assert gridferry("export", folder / "Lauf 1", "--format", "csv")[0] == 0
    code, out, _ = gridferry("validate", folder / "Lauf 1" / "plan.csv", folder / "über.toml", "--json")
    assert (code, json.loads(out)["not_executed"]) == (1, ["the plan does not cover 142 steps"])


# ---------------------------------------------------------------------------------------------- validate and compare
def plan_csv(path, p_mw, steps=6):
    rows = "".join(f"{step},T1,{p_mw},0.0,S3\n" for step in range(steps))
    path.write_text("step,device,p_mw,q_mvar,station\n" + rows)
    return path


def test_validate_exits_0_for_a_feasible_plan_1_for_a_violation_2_for_no_plan(gridferry, tmp_path):
    plan = plan_csv(tmp_path / "plan.csv", 0.0)
    code, out, err = gridferry("validate", plan, "three_bus", "--set", "time.steps=6", "--json")
    assert (code, err) == (0, "")
    verdict = json.loads(out)
    assert (verdict["feasible"], verdict["violations"], verdict["summary"]["controller"]) == (True, [], "replay")
    assert verdict["verdict"] == verdict["summary"]["verdict"] == "feasible and executed"
    assert list(tmp_path.iterdir()) == [plan]

    strict = ("--set", "time.steps=6", "--set", "networks.dn1.v_min_pu=0.9999")
    code, out, _ = gridferry("validate", plan, "three_bus", *strict, "--out", "kept", "--json")
    assert code == 1
    worst = json.loads(out)["violations"][0]
    assert (worst["kind"], worst["limit"]) == ("voltage", 0.9999)
    v = load_run("kept").table("bus")["v_pu"]
    assert worst["value"] == v.min()
    assert worst["excess"] == pytest.approx(0.9999 - v.min())

    code, out, _ = gridferry("validate", plan, "three_bus", *strict)
    assert code == 1
    assert out.splitlines()[-2] == "infeasible"
    assert f"bus {worst['element']}: {worst['value']:.6f} pu" in out

    plan.write_text("step,device,p_mw,q_mvar,station\n0,T9,0,0,S3\n1,T1,x,0,S3\n")
    code, out, err = gridferry("validate", plan, "three_bus", "--json")
    assert (code, out) == (2, "")
    assert all(re.search(words, err) for words in ("line 2.*T9", "line 3.*x"))
    assert gridferry("validate", "nothing.csv", "three_bus")[0] == 2


def test_compare_puts_the_figures_of_runs_side_by_side(gridferry, finished):
    directory, done = finished
    gridferry("run", "three_bus", "--steps", 2, "--out", "other")
    code, out, _ = gridferry("compare", directory, "other", "--json")
    assert (code, list(json.loads(out)["unlike"])) == (1, ["steps", "step_s", "currency"])
    first, second = json.loads(out)["runs"]
    assert first == json.loads(done.stdout)
    assert second == load_run("other").summary | {"directory": "other"}
    code, out, _ = gridferry("compare", directory, "other")
    assert code == 1
    line = next(one for one in out.splitlines() if "import, MWh" in one)
    assert line.split()[-2:] == [f"{one['grid']['import_mwh']:,.4f}" for one in (first, second)]


def test_compare_with_what_is_no_run_is_refused(gridferry, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "summary.json").write_text("[1]")
    code, out, err = gridferry("compare", "empty", "gone", "odd", "--json")
    assert (code, out) == (2, "")
    assert err.count("summary.json") == 3
    assert "no JSON object" in err


# --------------------------------------------------------------------------------------------------- list, check, new
def test_list_names_what_there_is_and_suggests_what_was_meant(gridferry):
    expected = {"networks": "ieee85_v2", "controllers": "replay", "configs": "two_feeders", "studies": "mess_published"}
    for what, name in expected.items():
        code, out, _ = gridferry("list", what)
        assert code == 0
        assert name in out
        code, out, _ = gridferry("list", what, "--json")
        assert name in [one["name"] for one in json.loads(out)[what]]
    code, out, err = gridferry("list", "controler")
    assert (code, out) == (2, "")
    assert 'did you mean "controllers"?' in err


# SimBench grids take seconds to read; tests/cases/test_simbench_day.py runs one
CHECKED = [path for path in sorted(configs_dir().glob("*.toml")) if not path.stem.startswith("simbench")]


@pytest.mark.parametrize("path", CHECKED, ids=lambda path: path.stem)
def test_check_finds_our_configs_sound(gridferry, path):
    code, out, err = gridferry("check", path, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["config"], found["passed"], found["faults"]) == (str(path), True, [])
    # the published cases begin with voltages below their limit; one network is a part of its net, made by code
    assert bool(found["notes"]) == path.stem.startswith(("mvdc", "mv_oberrhein"))
    said = {"mvdc": ("at rest the first step breaks limits",), "mv_o": ("of 179 buses that", "this check ran code")}
    assert all(any(word in one["message"] for word in said[path.stem[:4]]) for one in found["notes"])


def test_check_lists_all_faults_of_a_config(gridferry, tmp_path):
    (tmp_path / "bad.toml").write_text(
        'extends = "three_bus"\nfoo = 1\n[trucks.T1]\nstation = "S9"\nsoc_min = 0.9\n[controller]\nuse = "rulez"\n'
    )
    code, out, _ = gridferry("check", "bad.toml", "--json")
    assert code == 1
    keys = [one["key"] for one in json.loads(out)["faults"]]
    assert keys == ["trucks[0].soc_min = 0.9", "foo = 1", 'trucks[0].station = "S9"', 'controller.use = "rulez"']
    code, out, _ = gridferry("check", "bad.toml")
    assert code == 1
    assert "4 faults" in out
    for missing in ("gone.toml", "gone"):
        code, out, err = gridferry("check", missing)
        assert (code, out) == (2, "")
        assert missing in err


def test_check_says_which_promise_a_controller_breaks(gridferry, tmp_path):
    (tmp_path / "bad.py").write_text(
        "from dataclasses import replace\nfrom gridferry.controllers.contract import Controller, hold\n"
        "class Bad(Controller):\n    '''Asks for too much.'''\n    def plan(self, observation, forecast):\n"
        "        plan = hold(self.plant, observation)\n        return replace(plan, p_mw=plan.p_mw + 99.0)\n"
    )
    code, out, _ = gridferry("check", "bad.py:Bad")
    assert code == 1
    assert "FAILED" in out
    code, out, _ = gridferry("check", "bad.py:Bad", "--json")
    assert code == 1
    assert [one for one in json.loads(out)["findings"] if not one["passed"]]
    assert gridferry("check", "idle")[0] == 0
    assert gridferry("check", "gone.py:Bad")[0] == 2
    assert gridferry("check", "bad.py:Good")[0] == 2


def test_new_controller_writes_a_plug_in_that_passes_the_check_and_runs(gridferry):
    code, out, _ = gridferry("new", "controller", "night_rule")
    assert code == 0
    assert "night_rule.py" in out
    assert gridferry("check", "night_rule.py:NightRule")[0] == 0
    run = ("run", "three_bus", "--steps", 3, "--controller", "night_rule.py:NightRule", "--out", "run", "--json")
    code, out, _ = gridferry(*run)
    assert code == 0
    assert json.loads(out)["solver"]["failures"] == 0
    assert gridferry("new", "controller", "night_rule")[0] == 2
    assert gridferry("new", "controller", "2rules")[0] == 2


def test_version_and_help_and_unknown_options(gridferry):
    assert re.fullmatch(r"gridferry \d+\.\d+\.\d+\S*\n", gridferry("--version")[1])
    code, out, _ = gridferry("--help")
    assert code == 0
    for name in ("run", "validate", "compare", "list", "check", "new", "schema", "export"):
        assert f" {name} " in out
    assert gridferry("run", "three_bus", "--bogus")[0] == 2
    assert gridferry("bogus")[0] == 2
    assert gridferry("run")[0] == 2

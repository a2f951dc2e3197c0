"""Runs side by side: labels, unlike runs, means, study folders."""

from __future__ import annotations

import json

import pytest

from gridferry.sim.cli import main
from gridferry.sim.loop.runner import run
from gridferry.sim.results.comparison import grouped, labels, unlike
from gridferry.sim.results.run_directory import Run


def made(path, controller="idle", seed=0, **changed):
    """A directory of a run with little in it."""
    path.mkdir(parents=True)
    head = {"status": "completed", "config": "day", "controller": controller, "steps": 24, "step_s": 3600}
    summary = head | {"seed": seed, "currency": "USD", "cost": {"profit": 1.0 + seed}, "grid": {}}
    settings = changed.pop("settings", "")
    (path / "config.toml").write_text(f'name = "day"\nseed = {seed}\n{settings}\n[controller]\nuse = "{controller}"\n')
    (path / "summary.json").write_text(json.dumps(summary | changed))
    facts = {"step_h": 1.0, "export_price_ratio": 1.0, "v_tolerance_pu": 1e-6, "loading_tolerance_percent": 1e-3}
    manifest = {"facts": facts, "status": "completed", "versions": {"gridferry": ""}}
    (path / "manifest.json").write_text(json.dumps(manifest))
    return Run(path, summary | changed, {})


def test_what_differs_makes_the_label_and_no_two_are_the_same(tmp_path):
    seeds = [made(tmp_path / row / "0", seed=seed) for seed, row in enumerate("abc")]
    assert labels(seeds) == ["seed 0", "seed 1", "seed 2"]
    assert labels([made(tmp_path / "idle" / "0"), made(tmp_path / "rules" / "0", "rules")]) == ["idle", "rules"]
    half = "[[batteries]]\nname = 'B'\nsoc_initial = {}\n"
    settings = [made(tmp_path / str(soc) / "0", settings=half.format(soc)) for soc in (0.25, 0.5)]
    assert labels(settings) == ["batteries.B.soc_initial = 0.25", "batteries.B.soc_initial = 0.5"]
    assert labels([made(tmp_path / "x" / "0"), made(tmp_path / "y" / "0")]) == ["x/0", "y/0"]
    assert labels(seeds[:1]) == ["day\nidle"]
    assert labels([seeds[0], seeds[0]])[0] != labels([seeds[0], seeds[0]])[1]


def test_interrupted_and_unlike_runs_are_marked_and_make_the_exit_code_1(tmp_path, capsys):
    runs = [made(tmp_path / "a"), made(tmp_path / "b", steps=7, status="failed"), made(tmp_path / "c")]
    assert unlike(runs) == {"status": ["completed", "failed", "completed"], "steps": [24, 7, 24]}
    assert unlike([runs[0], runs[2]]) == {}
    with pytest.raises(SystemExit) as left:
        main(["compare", *(str(one.directory) for one in runs)])
    assert left.value.code == 1
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert out.count("not alike") == 2
    assert [line[1:] for line in lines if "status" in line] == [["status", "completed", "failed", "completed"]]
    assert lines.index(next(one for one in lines if "steps" in one)) < lines.index(
        next(one for one in lines if "profit," in one)
    )
    assert "not alike, so that sums do not compare: status: completed, failed; steps: 24, 7" in out


def test_a_study_folder_stands_for_its_runs(tmp_path, capsys):
    for row, controller in (("at-rest", "idle"), ("by-rules", "rules")):
        for seed in (2, 10):
            made(tmp_path / "study" / row / str(seed), controller, seed)
    with pytest.raises(SystemExit) as left:
        main(["compare", str(tmp_path / "study"), "--json"])
    assert left.value.code == 0
    found = json.loads(capsys.readouterr().out)["runs"]
    assert [(one["controller"], one["seed"]) for one in found] == [
        ("idle", 2),
        ("idle", 10),
        ("rules", 2),
        ("rules", 10),
    ]
    with pytest.raises(SystemExit):
        main(["compare", str(tmp_path / "study"), "--mean"])
    assert capsys.readouterr().out.count("mean of 2") == 2
    with pytest.raises(SystemExit) as left:
        main(["report", str(tmp_path / "study")])
    assert left.value.code == 0
    text = (tmp_path / "study" / "report.html").read_text()
    assert '<a href="by-rules/10/report.html">by-rules/10</a>' in text
    assert "idle\nmean of 2</th>" in text


def test_runs_that_differ_only_in_their_seed_are_averaged_and_others_kept_apart(tmp_path):
    runs = [made(tmp_path / "1", "x", 1), made(tmp_path / "2", "y", 8), made(tmp_path / "3", "x", 4)]
    one, other, short = grouped([*runs, made(tmp_path / "4", "x", 5, steps=3)])
    assert (one.controller, one.runs, other.runs, short.runs) == ("x", 2, 1, 1)
    assert one.mean["cost"] == {"profit": 3.5}
    assert one.deviation["cost"]["profit"] == pytest.approx(4.5**0.5)
    assert other.deviation == {}


def test_compare_prints_means_as_a_table_and_as_json(tmp_path, capsys):
    for seed in (1, 2):
        errors = ["forecast.kind=errors", "forecast.errors.load.relative_std=0.1"]
        run("three_bus", overrides=errors, seed=seed, steps=6, out=tmp_path / str(seed))
    directories = [str(tmp_path / "1"), str(tmp_path / "2")]
    with pytest.raises(SystemExit) as left:
        main(["compare", *directories, "--mean"])
    assert left.value.code == 0
    assert "mean of 2" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["compare", *directories, "--mean", "--json"])
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    errors = [json.loads((tmp_path / name / "summary.json").read_text())["plan_vs_ac"] for name in ("1", "2")]
    assert errors[0]["v_max_abs_pu"] != errors[1]["v_max_abs_pu"]
    assert group["mean"]["plan_vs_ac"]["v_max_abs_pu"] == pytest.approx(
        (errors[0]["v_max_abs_pu"] + errors[1]["v_max_abs_pu"]) / 2
    )

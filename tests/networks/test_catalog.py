"""The published feeders and the ways to name a network."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandapower as pp
import pandas as pd
import pytest

from gridferry.networks.admittance import bus_injections
from gridferry.networks.catalog import load_network
from gridferry.networks.faults import InputError
from gridferry.networks.power_flow import solve_sweep
from gridferry.networks.published import DATA

FIGURES = pd.read_csv(DATA / "feeders.csv").set_index("name")


@pytest.mark.parametrize("name", FIGURES.index)
def test_feeder_has_the_published_size_totals_and_losses(name: str) -> None:
    facts, feeder = FIGURES.loc[name], load_network(name, Path()).feeder
    assert (feeder.n_bus, feeder.n_branch) == (facts.n_buses, facts.n_buses - 1)
    assert facts.n_branches - facts.n_tie_switches == feeder.n_branch
    assert feeder.p_load_mw.sum() * 1e3 == pytest.approx(facts.p_total_kw, abs=1e-3)
    assert feeder.q_load_mvar.sum() * 1e3 == pytest.approx(facts.q_total_kvar, abs=1e-3)
    v, converged = solve_sweep(feeder, -feeder.p_load_mw, -feeder.q_load_mvar)
    assert converged
    loss = bus_injections(feeder, v).sum() * 1e3
    assert loss.real == pytest.approx(facts.measured_loss_kw, abs=0.01)
    assert loss.imag == pytest.approx(facts.measured_loss_kvar, abs=0.01)
    assert np.abs(v).min() == pytest.approx(facts.measured_vmin_pu, abs=1e-5)
    assert feeder.bus_names[int(np.abs(v).argmin())] == str(facts.measured_vmin_bus)


def test_closing_the_ties_and_opening_the_published_optimum_gives_the_published_loss() -> None:
    """ieee33 after reconfiguration, by a dense nodal solution of the meshed-then-opened graph."""
    from gridferry.networks.feeder import plain_feeder

    feeder = load_network("ieee33", Path()).feeder
    z_base = feeder.base_kv[0] ** 2 / feeder.base_mva
    opened = {("7", "8"), ("9", "10"), ("14", "15"), ("32", "33"), ("25", "29")}
    rows = [
        (feeder.bus_names[i], feeder.bus_names[j], r * z_base, x * z_base)
        for i, j, r, x in zip(feeder.parent, feeder.child, feeder.r_pu, feeder.x_pu, strict=True)
    ]
    ties = pd.read_csv(DATA / "ieee33_branches.csv").query("in_service == 0")
    rows += [(str(tie.from_bus), str(tie.to_bus), tie.r_ohm, tie.x_ohm) for tie in ties.itertuples()]
    rows = [row for row in rows if (row[0], row[1]) not in opened]
    changed = plain_feeder(
        "reconfigured",
        base_mva=1.0,
        base_kv=float(feeder.base_kv[0]),
        bus_names=feeder.bus_names,
        p_load_mw=feeder.p_load_mw,
        q_load_mvar=feeder.q_load_mvar,
        from_bus=np.array([feeder.bus_index(row[0]) for row in rows]),
        to_bus=np.array([feeder.bus_index(row[1]) for row in rows]),
        r_ohm=np.array([row[2] for row in rows]),
        x_ohm=np.array([row[3] for row in rows]),
    )
    v, _ = solve_sweep(changed, -feeder.p_load_mw, -feeder.q_load_mvar)
    assert bus_injections(changed, v).sum().real * 1e3 == pytest.approx(139.5513, abs=1e-3)


def test_three_bus_is_the_published_case() -> None:
    feeder = load_network("three_bus", Path()).feeder
    assert feeder.bus_names == ("1", "2", "3")
    np.testing.assert_allclose(feeder.r_pu, [0.01, 0.015], rtol=1e-12)
    np.testing.assert_allclose(feeder.x_pu, [0.02, 0.025], rtol=1e-12)
    np.testing.assert_allclose(feeder.i_max_pu**2, [1.5, 1.2], rtol=1e-12)
    np.testing.assert_array_equal(feeder.p_load_mw, [0.0, 2.0, 1.5])
    assert (feeder.v_min_pu.max(), feeder.v_max_pu.min()) == (0.95, 1.05)


def fault_of(spec: str, base_dir: Path = Path()) -> str:
    with pytest.raises(InputError) as caught:
        load_network(spec, base_dir, "case.toml", "networks[0].feeder")
    assert len(caught.value.faults) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("iee33", 'did you mean "ieee33"?'),
        ("", "no such network"),
        ("gird.json", 'did you mean "grid.json"?'),
        ("nothing.m", "no such file"),
        ("simbench:1-LV-rural1--0", 'did you mean "1-LV-rural1--0-sw"?'),
        ("pandapower.networks:case33", 'did you mean "case33bw"?'),
        ("no_such_package.at_all:f", "cannot be imported"),
        ("math:", "incomplete"),
        ("os:getcwd", "returned a str"),
        ("math:sqrt", "raised TypeError"),
        ("absent.py:f", "no such file"),
        ("broken.py:f", "ZeroDivisionError"),
        ("broken.json", "cannot be read as a pandapower net"),
        ("list.json", "cannot be read as a pandapower net"),
    ],
)
def test_a_spec_that_names_nothing_is_one_fault_with_the_way_out(spec: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "grid.json").write_text("{}")
    (tmp_path / "broken.json").write_text("{not json")
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    words = fault_of(spec, tmp_path)
    assert words.startswith("case.toml: networks[0].feeder: ")
    assert message in words


def test_simbench_missing_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDFERRY_CACHE_DIR", str(tmp_path))  # what was read before needs no package
    monkeypatch.setitem(sys.modules, "simbench", None)
    assert "pip install 'gridferry[simbench]'" in fault_of("simbench:1-LV-rural1--0-sw")


def two_bus_net() -> pp.pandapowerNet:
    net = pp.create_empty_network()
    pp.create_buses(net, 2, 20.0)
    pp.create_ext_grid(net, 0, vm_pu=1.01)
    pp.create_line_from_parameters(net, 0, 1, 2.0, 0.3, 0.2, 10.0, 0.3)
    pp.create_load(net, 1, 0.5, 0.1)
    return net


def test_json_files_and_python_files_give_the_net_they_hold(tmp_path: Path) -> None:
    pp.to_json(two_bus_net(), str(tmp_path / "grid.json"))
    (tmp_path / "nets.py").write_text(
        "import pandapower as pp\n"
        "from pathlib import Path\n"
        "from gridferry.networks.catalog import load_network\n"
        "def net():\n    return pp.from_json(str(Path(__file__).parent / 'grid.json'))\n"
        "def feeder():\n    return load_network('ieee33', Path()).feeder\n"
    )
    for spec in ("grid.json", "nets.py:net"):
        network = load_network(spec, tmp_path)
        assert network.source_net is not None
        assert network.feeder.slack_v_pu == 1.01
        assert network.feeder.p_load_mw.tolist() == [0.0, 0.5]
    assert load_network("nets.py:feeder", tmp_path).feeder.name == "ieee33"


def test_faults_inside_a_net_name_the_file_and_the_element(tmp_path: Path) -> None:
    net = two_bus_net()
    pp.create_asymmetric_load(net, 1, 0.1, 0.1, 0.1, name="W")
    pp.to_json(net, str(tmp_path / "grid.json"))
    with pytest.raises(InputError) as caught:
        load_network("grid.json", tmp_path, "case.toml", "networks[0].feeder")
    assert str(caught.value).startswith(f'{tmp_path / "grid.json"}: asymmetric_load 0 ("W"): ')

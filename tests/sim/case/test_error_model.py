"""One section of forecast errors, for what happens and for controllers: configs, reality, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gridferry.controllers.uncertainty.error_settings import ErrorSettings
from gridferry.networks.faults import InputError
from gridferry.sim.case.case import Case, build_case
from gridferry.sim.case.input_files import input_files
from gridferry.sim.case.loading import load_config
from gridferry.sim.config.reading import write_config

ERR = ("forecast.kind=errors", "forecast.errors_on=realised")


def case(*overrides: str, config: str = "mvdc_2dn", controller: str | None = None) -> Case:
    return build_case(load_config(config, overrides, controller))


def errors_of(built: Case) -> ErrorSettings:
    found = built.controller().settings.errors
    assert isinstance(found, ErrorSettings)
    return found


def drawn(built: Case) -> tuple[np.ndarray, np.ndarray]:
    """Relative errors of the loads of each network, and of each generator; zero where nothing is forecast."""
    known, real, plant = built.forecaster.at(0), built.conditions, built.plant
    loads = [real.load_p_mw[:, at].sum(axis=1) / known.load_p_mw[:, at].sum(axis=1) - 1 for at in plant.bus_slices]
    outputs = []
    for one in plant.profiled:
        now, then = (given.series[one.device.key][one.key] for given in (real, known))
        outputs.append(np.divide(now - then, then, out=np.zeros_like(then), where=then > 0))
    return np.stack(loads, axis=1), np.stack(outputs, axis=1)


# ---------------------------------------------------------------------------------------------------------- controllers


def test_a_config_with_errors_of_forecasts_only_gives_its_controllers_the_same_model() -> None:
    plain = case("controller.errors={}")
    repeated = case(*[f"controller.errors.{one}_std={std}" for one, std in (("load", 0.06), ("generation", 0.12))])
    assert errors_of(plain) == errors_of(repeated)
    assert errors_of(plain).load == plain.loaded.config.forecast.errors.load
    biased = case("forecast.errors.load.bias=1.3")
    assert errors_of(biased) == errors_of(plain)
    one_plan, other = (one.controller().margins.ambiguity(0, one.forecaster.at(0)) for one in (plain, repeated))
    np.testing.assert_array_equal(one_plan.samples, other.samples)


def test_errors_given_to_the_controller_win_key_by_key() -> None:
    own = errors_of(case("controller.errors.load_std=0.01", "controller.errors.generation.truncation=2.0"))
    assert (own.load.relative_std, own.load.correlation_h) == (0.01, 6.0)
    assert (own.generation.relative_std, own.generation.truncation) == (0.12, 2.0)


def test_a_controller_that_the_command_line_chooses_has_them_too() -> None:
    assert errors_of(case(config="joint_2dn", controller="mvdc_drcc")) == errors_of(case(config="joint_2dn"))


def test_a_written_config_keeps_what_its_controllers_assume(tmp_path: Path) -> None:
    for name in ("mvdc_2dn", "joint_2dn", "late_trucks"):
        loaded = load_config(name, controller="mvdc_drcc")
        write_config(loaded.document, tmp_path / "config.toml")
        again = build_case(load_config(tmp_path / "config.toml"))
        assert errors_of(again) == errors_of(build_case(loaded))


def test_quantities_that_kinds_bring_are_known_to_controllers(tmp_path: Path) -> None:
    plugin = Path(__file__).parents[2] / "plugins" / "constant_load.py"
    kind = (f'devices.use=["{plugin}:ConstantLoad"]', "controller.errors.load_std=0.02")
    assert errors_of(case(*kind)).of("works").relative_std == 0.12, "that of generation, until it has its own"
    own = errors_of(case(*kind, "controller.errors.works.relative_std=0.3"))
    assert (own.of("works").relative_std, own.load.relative_std) == (0.3, 0.02)
    with pytest.raises(InputError, match=r"controller.errors.*works.relative_std: .*greater than or equal to 0"):
        case(*kind, "controller.errors.works.relative_std=-1")


# -------------------------------------------------------------------------------------------------------------- reality


def test_marginals_of_reality_are_chosen_by_name() -> None:
    sizes = ("forecast.errors.generation.relative_std=0.4", "forecast.errors.correlation_h=0", "time.steps=24")
    bounds = ("forecast.errors.marginal=beta", "forecast.errors.generation.bounds=[-1.0, 0.3]")
    loads, outputs = drawn(case(*ERR, *sizes, *bounds))
    assert -1.0 <= outputs.min() < -0.5
    assert 0.2 < outputs.max() <= 0.3 + 1e-12
    assert np.abs(loads).max() <= 0.18 + 1e-12
    normal, _ = drawn(case(*ERR, *sizes))
    assert not np.allclose(loads, normal)
    assert np.corrcoef(loads.ravel(), normal.ravel())[0, 1] > 0.99, "the same random numbers, differently distributed"


def test_reality_errs_as_was_observed_where_the_config_names_a_file(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).uniform(-0.5, 0.5, (24 * 6, 4)).round(6)
    file = tmp_path / "observed.csv"
    np.savetxt(file, rows, delimiter=",", header="a,b,c,d", comments="")
    observed = (f"forecast.errors.file={file}", 'forecast.errors.columns=["a", "b", "c", "d"]')
    built = case(*ERR, *observed)
    loads, outputs = drawn(built)
    days = rows.reshape(6, 24, 4)
    (day,) = [k for k in range(6) if np.allclose(loads, days[k, :, :2])]
    pv = np.flatnonzero(np.abs(outputs).max(axis=0) > 0)
    networks = [int(one.bus >= built.plant.bus_slices[1].start) for one in built.plant.profiled]
    for column in pv:
        lit = outputs[:, column] != 0
        np.testing.assert_allclose(outputs[lit, column], days[day, lit, 2 + networks[column]], atol=1e-9)
    # the controller plans with other days than the one that happens
    samples = built.controller().margins.ambiguity(0, built.forecaster.at(0)).samples
    seen = {k for k in range(6) for one in samples if np.allclose(one, days[k])}
    assert len(seen) == 3
    assert day not in seen
    assert file in input_files(built.loaded)
    with pytest.raises(InputError, match=r"columns for 4 sources; name one for each of load:1, load:2, pv:1, pv:2"):
        case(*ERR, observed[0], 'forecast.errors.columns=["a", "b"]', controller="rules")
    file.unlink()
    with pytest.raises(InputError, match=r"observed\.csv: cannot be read"):
        case(*ERR, *observed, controller="idle")


def test_a_profile_of_values_gives_the_errors_of_persistence(tmp_path: Path) -> None:
    """Loads that grow by a tenth from day to day, PV that halves."""
    growth = np.repeat([1.0, 1.1, 1.21], 24)
    sun = np.repeat([1.0, 0.5, 0.25], 24)
    np.savetxt(tmp_path / "days.csv", np.column_stack([growth, sun]), delimiter=",", header="l,s", comments="")
    columns = 'forecast.errors.columns=["l", "l", "s", "s"]'
    file = (f"forecast.errors.file={tmp_path / 'days.csv'}", columns, "forecast.errors.file_has=values")
    loads, outputs = drawn(case(*ERR, *file))
    np.testing.assert_allclose(loads, 0.1, atol=1e-9)
    assert set(np.round(outputs[outputs != 0], 9)) == {-0.5}


def test_errors_of_networks_are_correlated_in_reality_as_controllers_take_them_to_be() -> None:
    given = (*ERR, "forecast.errors.between_networks=0.7", "forecast.errors.correlation_h=0.0")
    products = []
    for seed in range(8):
        loads, outputs = drawn(case(*given, f"seed={seed}"))
        products.append((loads[:, 0] @ loads[:, 1] / 24, loads.var(), outputs[:, 0] @ outputs[:, 4]))
    both, var, sun = np.array(products).sum(axis=0)
    assert both / var == pytest.approx(0.7, abs=0.12)
    assert sun > 0
    assert errors_of(case(*given)).between_networks == 0.7
    apart, together = (case(*ERR, f"forecast.errors.between_networks={one}") for one in (0.0, 1.0))
    np.testing.assert_array_equal(drawn(apart)[0], drawn(case(*ERR))[0])
    np.testing.assert_allclose(drawn(together)[0][:, 0], drawn(together)[0][:, 1], atol=1e-12)


def test_generators_of_a_network_err_alike_in_reality_where_they_are_grouped() -> None:
    _, alone = drawn(case(*ERR))
    _, together = drawn(case(*ERR, "forecast.errors.generation_grouping=network"))
    lit = alone.all(axis=1)
    assert lit.any()
    for built, errors in ((False, alone), (True, together)):
        spread = [np.ptp(errors[lit][:, columns], axis=1).max() for columns in (slice(0, 2), slice(2, 4))]
        assert all((one < 1e-12) == built for one in spread)


# --------------------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("forecast.ageing_h=3", 'forecast.ageing_h = 3: no such key; it is called "update_decay_h" now'),
        ("controller.ageing_h=3", 'no such option; it is called "update_decay_h" now'),
        ("forecast.errors.load.marginal=gauss", 'must be "normal", "beta" or "empirical"'),
        ("forecast.errors.marginal=empirical", "nothing is observed of it; give file and columns"),
        ("forecast.errors.load.relative_sdt=1", 'did you mean "relative_std"'),
    ],
)
def test_faults_of_errors_say_the_way_out(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        case(setting)

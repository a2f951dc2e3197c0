"""The evaluation of schedules: cost terms by hand, physics of devices, many at once, flows that are not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cases.parts import of_kind, profiled_mw, seen_as, with_series
from gridferry.controllers.conformance.sample_plants import Sample, at_start, look_ahead, three_bus, two_feeders
from gridferry.controllers.contract import ControllerError, Plan
from gridferry.controllers.devices import Coupling, Device, Now, Request
from gridferry.controllers.schedule.ac_evaluation import Schedules, evaluate, evaluate_plan, evaluate_rest
from gridferry.controllers.schedule.settlement import settled_mw
from gridferry.networks.admittance import bus_injections
from gridferry.networks.read_only import own_copy


def drawn(sample: Sample, samples: int, steps: int) -> Schedules:
    """Schedules of powers up to the ratings and stations at random, beyond what stores and roads allow."""
    rng, plant = np.random.default_rng(3), sample.plant
    shape = (samples, steps, plant.n_port)
    places = np.array(of_kind(plant, "trucks")[0].stations)
    return Schedules(
        p_mw=rng.uniform(-1, 1, shape) * np.nan_to_num(plant.port_p_max_mw, posinf=0.0),
        q_mvar=rng.uniform(-0.3, 0.3, shape) * np.nan_to_num(plant.port_s_max_mva, posinf=0.0),
        position=np.repeat(rng.choice(places, (samples, -(-steps // 3), 1)), 3, axis=1)[:, :steps],
    )


@pytest.mark.parametrize("sample", [three_bus(step_s=3600), two_feeders()], ids=lambda one: one.name)
def test_many_schedules_at_once_come_to_what_each_comes_to_alone(sample: Sample) -> None:
    plant, seen, ahead = sample.plant, at_start(sample.plant), look_ahead(sample, 0, 9)
    many = drawn(sample, 3, 9)
    together = evaluate(plant, many, seen, ahead)
    for k in range(3):
        plan = Plan(many.p_mw[k], many.q_mvar[k], many.position[k])
        alone = evaluate_plan(plant, plan, seen, ahead)
        one, other = vars(alone.prediction()), vars(together.prediction(k))
        for name in one.keys() - {"costs"}:
            np.testing.assert_allclose(other[name], one[name], rtol=1e-12, atol=1e-12, err_msg=name)
        for name, term in alone.costs.items():
            np.testing.assert_allclose(together.costs[name][k], term[0], rtol=1e-12, atol=1e-12)
            np.testing.assert_array_equal(other["costs"][name], together.costs[name][k])


def test_import_is_what_loads_and_losses_take_beyond_what_devices_and_generators_give() -> None:
    sample = two_feeders()
    plant, seen, ahead = sample.plant, at_start(sample.plant), look_ahead(sample, 0, 12)
    found = evaluate(plant, drawn(sample, 2, 12), seen, ahead)
    flow = found.flow
    for k, (feeder, buses) in enumerate(zip(plant.feeders, plant.bus_slices, strict=True)):
        lost = bus_injections(feeder, flow.v[..., buses]).real.sum(axis=-1)
        np.testing.assert_allclose(flow.losses_mw[..., k], lost, atol=1e-9)
        drawn_mw = -flow.p_mw[..., buses].sum(axis=-1) + flow.losses_mw[..., k]
        np.testing.assert_allclose(flow.import_mw[..., k], drawn_mw, atol=1e-9)
    stored = np.diff(found.energy_mwh.sum(axis=-1), axis=-1)
    given = flow.p_mw.sum(axis=-1) + ahead.net_load_mw(plant).sum(axis=1)
    assert np.all(stored + plant.step_h * given <= 1e-9), "devices lose energy, and gain none"


def test_a_trip_and_a_charge_cost_what_they_cost_by_hand() -> None:
    """16.87 km at 40 km/h and 5 min make half an hour: one step of labour at 10, fuel at 0.4, then 1 MWh at 15."""
    sample = three_bus(step_s=3600)
    plant, seen, ahead = sample.plant, at_start(sample.plant), look_ahead(sample, 0, 3)
    ahead = replace(ahead, congestion=np.zeros_like(ahead.congestion))
    p = np.array([[-1.0, 0.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    plan = Plan(p, np.zeros_like(p), np.array([[1], [1], [1]]))
    found = evaluate_plan(plant, plan, seen, ahead)
    np.testing.assert_allclose(found.costs["labour"], [[10.0, 0.0, 0.0]])
    np.testing.assert_allclose(found.costs["fuel"], [[0.4 * 16.87, 0.0, 0.0]])
    np.testing.assert_allclose(found.costs["wear"], [[0.0, 15.0, 0.0]])
    np.testing.assert_allclose(found.costs["feed_in"][0], 128.0 * profiled_mw(plant, ahead).sum(axis=1))
    paid = ahead.buy_price * settled_mw(found.flow.import_mw[0], plant.export_price_ratio).sum(axis=1)
    np.testing.assert_allclose(found.costs["energy"][0], paid)
    np.testing.assert_allclose(found.cost, sum(found.costs.values()))
    stored = 6.381 * 0.5
    np.testing.assert_allclose(found.energy_mwh[0, :, 0], [stored, stored, stored + 0.75, stored + 0.75])


def test_export_is_paid_at_its_share_of_the_price_network_by_network() -> None:
    np.testing.assert_allclose(settled_mw(np.array([[2.0, -1.0], [-3.0, 0.0]]), 0.8), [[2.0, -0.8], [-2.4, 0.0]])


def test_doing_nothing_lets_a_truck_on_the_road_drive_on_at_its_cost() -> None:
    """Two steps to go, of a quarter of an hour at 8."""
    sample = two_feeders()
    plant, ahead = sample.plant, look_ahead(sample, 0, 6)
    parked, driving = at_start(plant), seen_as(plant, at_start(plant), transit_steps=np.array([2]))
    more = evaluate_rest(plant, driving, ahead).cost - evaluate_rest(plant, parked, ahead).cost
    np.testing.assert_allclose(more, [[2.0, 2.0, 0.0, 0.0, 0.0, 0.0]], atol=1e-9)


def test_a_network_without_a_flow_is_named_and_leaves_the_other_known() -> None:
    sample = two_feeders()
    plant, seen, ahead = sample.plant, at_start(sample.plant), look_ahead(sample, 0, 4)
    load = ahead.load_p_mw.copy()
    load[2, plant.bus_slices[1]] *= 1e5
    heavy = replace(ahead, load_p_mw=load)
    with pytest.raises(ControllerError, match=r"network 2 \(dn2\) has no power flow at steps 2 of the horizon"):
        evaluate_rest(plant, seen, heavy)
    rest = Schedules(
        p_mw=np.zeros((1, 4, plant.n_port)),
        q_mvar=np.zeros((1, 4, plant.n_port)),
        position=np.repeat(seen.position[None, None], 4, axis=1),
    )
    found = evaluate(plant, rest, seen, heavy).prediction()
    np.testing.assert_array_equal(np.isnan(found.import_mw), np.arange(8).reshape(4, 2) == 5)
    np.testing.assert_array_equal(np.isnan(found.cost), [False, False, True, False])
    assert np.isfinite(found.v_pu[:, plant.bus_slices[0]]).all()
    assert np.isnan(found.v_pu[2, plant.bus_slices[1]]).all()


def test_what_is_out_of_service_gives_nothing_and_what_is_not_known_has_no_flow() -> None:
    sample = two_feeders()
    plant, seen, ahead = sample.plant, at_start(sample.plant), look_ahead(sample, 0, 2)
    share = np.ones((2, plant.n_port))
    share[0, 1] = 0.0
    share[1, 2] = np.nan
    p = np.zeros((2, plant.n_port))
    p[0, 1] = p[1, 2] = 0.3
    plan = Plan(p, np.zeros_like(p), np.repeat(seen.position[None], 2, axis=0))
    found = evaluate_plan(plant, plan, seen, with_series(plant, ahead, availability=share))
    rest = evaluate_rest(plant, seen, ahead)
    np.testing.assert_array_equal(found.flow.import_mw[0, 0], rest.flow.import_mw[0, 0])
    np.testing.assert_array_equal(np.isnan(found.flow.import_mw[0, 1]), [False, True])


class NoPlace(Coupling):
    """A truck that is more than half full gets no place."""

    def grant(
        self, devices: Sequence[Device[Any]], moved: Sequence[Any], requests: Sequence[Request], nows: Sequence[Now]
    ) -> Sequence[Now]:
        """Unplug it."""
        return [
            replace(now, plugged=device.table != "trucks" or state.energy_mwh <= 1.0)
            for device, state, now in zip(devices, moved, nows, strict=True)
        ]


def test_what_couplings_grant_is_granted_to_each_of_many_schedules() -> None:
    sample = two_feeders()
    plant, seen, ahead = own_copy(sample.plant), at_start(sample.plant), look_ahead(sample, 0, 9)
    vars(plant)["couplings"] = (*sample.plant.couplings, NoPlace())
    many = drawn(sample, 3, 9)
    together = evaluate(plant, many, seen, ahead)
    free = evaluate(sample.plant, many, seen, ahead)
    for k in range(3):
        alone = evaluate_plan(plant, Plan(many.p_mw[k], many.q_mvar[k], many.position[k]), seen, ahead)
        np.testing.assert_allclose(together.energy_mwh[k], alone.energy_mwh[0], rtol=0, atol=1e-12)
    assert not np.array_equal(together.energy_mwh, free.energy_mwh)

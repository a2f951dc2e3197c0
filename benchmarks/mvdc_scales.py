"""Find the scales of load and price in configs/mvdc_2dn.toml: ``python -m benchmarks.mvdc_scales``.

Without devices the day is to lose and cost, in AC, what C. Han, S. Song, J. Lee, Electronics 14(13), 2737, 2025, print
for scenario I. Losses depend on the load alone, and the cost then on the price alone.
"""

from __future__ import annotations

from scipy.optimize import brentq

from gridferry.sim.config.reading import find_config
from gridferry.sim.study.day_ahead import Figures, Job, evaluate

LOSS_KWH, COST = 3490.90, 132.86


def without_devices(load: float, price: float) -> Figures:
    settings = ['controller.scenario="none"', f"prices.buy.scale={price!r}"]
    settings += [f"loads[{network}].factor.scale={load!r}" for network in (0, 1)]
    found = evaluate(Job(find_config("mvdc_2dn"), tuple(settings), 1, 0, None))
    assert isinstance(found, Figures)
    return found


def main() -> None:
    load = brentq(lambda scale: without_devices(scale, 1.0).loss_kwh - LOSS_KWH, 0.5, 1.5, xtol=1e-9)
    price = COST / without_devices(load, 1.0).cost
    found = without_devices(load, price)
    print(f"scale of the load {load:.7f}, of the price {price:.7f}")
    print(f"losses {found.loss_kwh:.2f} kWh, controllable cost {found.cost:.2f} USD")


if __name__ == "__main__":
    main()

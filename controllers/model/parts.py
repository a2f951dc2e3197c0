"""What the storage model is made with and of: options, stores, and what the blocks contribute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cvxpy as cp
import numpy as np
from jaxtyping import Float

from gridferry.controllers.contract import NoteKind, Storage
from gridferry.controllers.model import storage as stores
from gridferry.controllers.uncertainty.margins import Margins


@dataclass(frozen=True, eq=False)
class MessOptions:
    """How the model is set up.

    Attributes
    ----------
    v_margin_pu : kept from the voltage limits [pu]
    soc_at_horizon : least state of charge at the end of a horizon that ends before the run, inside a day: ``None`` free
    use_store_end : take each store's own end-of-day condition there instead
    relaxed : let voltages, currents and end-of-day energies miss their limits, at a price
    loss_price : added to the price of losses [currency/MWh]
    instant_moves : a trip costs what it costs, but takes no time. Every route with delays can be followed so, by
        standing idle at the far end while the truck would drive: this is a relaxation
    links : links give power; else they are at zero
    margins : kept from the voltage limits of every bus and step beside ``v_margin_pu``
    taken : share taken off the ratings of branches ``(horizon, branch)``
    carried : let each station's share of a truck carry its own energy, which tightens the relaxation; of no use where
        routes are given
    allowed : how much each slack of a relaxed model may be, at no price; the slack is then no variable
    """

    v_margin_pu: float = 0.0
    soc_at_horizon: float | None = None
    use_store_end: bool = True
    relaxed: bool = False
    loss_price: float = 0.0
    instant_moves: bool = False
    links: bool = False
    margins: Margins | None = None
    taken: Float[np.ndarray, "horizon branch"] | None = None
    carried: bool = True
    allowed: tuple[np.ndarray, ...] | None = None


@dataclass(frozen=True, eq=False)
class StoreModel:
    """One store: its power wherever it can be connected, in total, and its energy."""

    store: Storage
    bus: tuple[int, ...]
    at: tuple[stores.StoragePower, ...]
    total: stores.StoragePower
    stored: stores.StoredEnergy


Guess = tuple[cp.Variable, Callable[[], np.ndarray]]
"""Binaries, and how to read likely values of them out of a solved relaxation."""


@dataclass(eq=False)
class Parts:
    """Collects what the blocks contribute."""

    constraints: list[cp.Constraint] = field(default_factory=list)
    binaries: list[cp.Variable] = field(default_factory=list)
    costs: list[cp.Expression] = field(default_factory=list)
    penalties: list[cp.Expression] = field(default_factory=list)
    loss_prices: list[cp.Expression] = field(default_factory=list)
    guesses: list[Guess] = field(default_factory=list)
    slack: list[cp.Variable] = field(default_factory=list)
    misses: list[NoteKind] = field(default_factory=list)
    follows: set[cp.Variable] = field(default_factory=set)
    given: int = 0

    def give(
        self, shape: tuple[int, ...], price: float, options: MessOptions, what: NoteKind
    ) -> cp.Variable | np.ndarray | float:
        """Return a slack variable at a price, what is allowed of it, or 0 where nothing may be missing.

        Parameters
        ----------
        what : what is violated where it is not zero
        """
        if options.allowed is not None:
            self.given += 1
            return options.allowed[self.given - 1]
        if not options.relaxed:
            return 0.0
        slack = cp.Variable(shape)
        self.constraints.append(slack >= 0)
        self.slack.append(slack)
        self.misses.append(what)
        self.penalties.append(price * cp.sum(slack))
        return slack

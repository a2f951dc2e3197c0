"""Radial distribution feeder in per unit: the static data of all grid models."""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Int

from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.networks.read_only import immutable

Z_MIN_PU = 1e-7
"""smaller impedances are raised to this: no voltage shows it, and a power flow needs the digits that they take [pu]"""


@dataclass(frozen=True, eq=False)
class Feeder:
    """A radial feeder; branches are oriented away from the slack bus, buses keep the order of their source.

    A branch is an ideal transformer ``tap_parent``, then a π section (shunt at the parent's end, series impedance,
    shunt at the child's end), then an ideal transformer ``tap_child``. A plain line has taps 1 and no shunts.

    Attributes
    ----------
    name : name of the feeder
    base_mva : power base [MVA], three-phase
    bus_names : names, in the order of the source
    base_kv : line-to-line voltage base of each bus [kV]
    slack : index of the slack bus
    slack_v_pu : voltage of the slack bus [pu]
    p_load_mw, q_load_mvar : nominal load of each bus [MW, Mvar]
    p_gen_mw, q_gen_mvar : fixed generation of each bus in the source [MW, Mvar]
    g_shunt_pu, b_shunt_pu : shunt admittance of each bus, g consumes, b > 0 is capacitive [pu]
    v_min_pu, v_max_pu : voltage limits of each bus [pu]
    branch_names : names of the branches
    parent, child : bus indices of the ends of each branch, parent nearer to the slack
    r_pu, x_pu : series impedance [pu]
    g_parent_pu, b_parent_pu, g_child_pu, b_child_pu : shunt admittance at the ends [pu]
    tap_parent, tap_child : off-nominal turns ratios of the ideal transformers (bus : π section)
    shift_deg : phase shift from parent to child [degree]; angles only, a radial feeder's flows do not see it
    i_max_pu : largest current of the π section [pu], inf where no rating is known
    loading_max : limit of the current of each branch, as a share of its rating
    import_max_mw, export_max_mw : largest power drawn from the grid above, and given to it [MW]
    xy : coordinates of each bus, with y to the north, for drawing; ``None`` where the source has none
    bus_aliases : other names of buses and the index each leads to, such as buses joined by closed switches, and ``#``
        with the index in the source
    """

    name: str
    base_mva: float
    bus_names: tuple[str, ...]
    base_kv: Float[np.ndarray, " bus"]
    slack: int
    slack_v_pu: float
    p_load_mw: Float[np.ndarray, " bus"]
    q_load_mvar: Float[np.ndarray, " bus"]
    p_gen_mw: Float[np.ndarray, " bus"]
    q_gen_mvar: Float[np.ndarray, " bus"]
    g_shunt_pu: Float[np.ndarray, " bus"]
    b_shunt_pu: Float[np.ndarray, " bus"]
    v_min_pu: Float[np.ndarray, " bus"]
    v_max_pu: Float[np.ndarray, " bus"]
    branch_names: tuple[str, ...]
    parent: Int[np.ndarray, " branch"]
    child: Int[np.ndarray, " branch"]
    r_pu: Float[np.ndarray, " branch"]
    x_pu: Float[np.ndarray, " branch"]
    g_parent_pu: Float[np.ndarray, " branch"]
    b_parent_pu: Float[np.ndarray, " branch"]
    g_child_pu: Float[np.ndarray, " branch"]
    b_child_pu: Float[np.ndarray, " branch"]
    tap_parent: Float[np.ndarray, " branch"]
    tap_child: Float[np.ndarray, " branch"]
    shift_deg: Float[np.ndarray, " branch"]
    i_max_pu: Float[np.ndarray, " branch"]
    loading_max: Float[np.ndarray, " branch"]
    bus_aliases: tuple[tuple[str, int], ...] = ()
    xy: Float[np.ndarray, "bus 2"] | None = None
    import_max_mw: float = np.inf
    export_max_mw: float = np.inf

    def __post_init__(self) -> None:
        for name, value in list(vars(self).items()):
            if isinstance(value, np.ndarray):
                object.__setattr__(self, name, immutable(value))

    @property
    def n_bus(self) -> int:
        """Number of buses."""
        return len(self.bus_names)

    @property
    def n_branch(self) -> int:
        """Number of branches, one less than buses."""
        return len(self.branch_names)

    @property
    def exchange_unit_mw(self) -> float:
        """Exchange with the grid above beyond its limits that counts as a violation of 1: the larger limit [MW]."""
        finite = [one for one in (self.import_max_mw, self.export_max_mw) if np.isfinite(one)]
        return max(finite, default=0.0) or 1.0

    @cached_property
    def base_current_ka(self) -> Float[np.ndarray, " branch"]:
        """Current base of each branch, at its child bus [kA]."""
        return immutable(self.base_mva / (np.sqrt(3.0) * self.base_kv[self.child]))

    @cached_property
    def _index(self) -> Mapping[str, int]:
        aliases = dict(self.bus_aliases) or {f"#{index}": index for index in range(self.n_bus)}
        return MappingProxyType(aliases | {name: index for index, name in enumerate(self.bus_names)})

    def bus_index(self, name: str | int, what: str = "bus") -> int:
        """Index of the bus of that name or alias, or of ``"#7"``; raises ``KeyError`` with the names there are.

        Parameters
        ----------
        what : how the message calls it
        """
        wanted = unicodedata.normalize("NFC", str(name)).strip()
        try:
            return self._index[wanted]
        except KeyError:
            several = [one for one in self.bus_names if one.startswith(f"{wanted} #")]
            if several and wanted:
                which = ", ".join(one.rpartition("#")[2] for one in several)
                message = f"{len(several)} buses have that name; choose one with bus_index = {which}"
                raise KeyError(message.replace(", ", " or ")) from None
            raise KeyError(no_such(what, name, self.bus_names)) from None

    def with_limits(
        self, v_min_pu: float | None = None, v_max_pu: float | None = None, loading_max: float | None = None
    ) -> Feeder:
        """Return the feeder with other limits at every bus [pu] and branch; ``None`` keeps the source's."""
        return replace(
            self,
            v_min_pu=self.v_min_pu if v_min_pu is None else np.full(self.n_bus, float(v_min_pu)),
            v_max_pu=self.v_max_pu if v_max_pu is None else np.full(self.n_bus, float(v_max_pu)),
            loading_max=self.loading_max if loading_max is None else np.full(self.n_branch, float(loading_max)),
        )

    def with_base(self, base_mva: float) -> Feeder:
        """Return the same feeder in per unit of another power base [MVA]."""
        more = base_mva / self.base_mva
        impedances = {name: getattr(self, name) * more for name in ("r_pu", "x_pu")}
        inverse = ("g_shunt_pu", "b_shunt_pu", "g_parent_pu", "b_parent_pu", "g_child_pu", "b_child_pu", "i_max_pu")
        return replace(self, base_mva=base_mva, **impedances, **{name: getattr(self, name) / more for name in inverse})

    def with_least_impedances(self) -> Feeder:
        """Return the feeder with impedances raised to `Z_MIN_PU`; none at all becomes a reactance: nothing is lost."""
        z = self.r_pu + 1j * self.x_pu
        z = np.where(z == 0.0, 1j * Z_MIN_PU, z)
        z = z * np.maximum(Z_MIN_PU / np.abs(z), 1.0)
        return replace(self, r_pu=z.real, x_pu=z.imag)


def orient(
    source: str,
    bus_names: Sequence[str],
    branch_names: Sequence[str],
    from_bus: Int[np.ndarray, " branch"],
    to_bus: Int[np.ndarray, " branch"],
    slack: int,
) -> Int[np.ndarray, " branch"]:
    """Direct every branch away from the slack: +1 where ``from_bus`` is the parent, -1 where ``to_bus`` is.

    Raises
    ------
    InputError
        naming the branch that closes a loop, or the buses the slack does not reach.
    """
    touching: list[list[int]] = [[] for _ in bus_names]
    for branch, ends in enumerate(zip(from_bus, to_bus, strict=True)):
        for end in ends:
            touching[end].append(branch)
    direction = np.zeros(len(branch_names), dtype=np.int64)
    reached = {slack}
    queue = deque([slack])
    faults: list[Fault] = []
    while queue:
        bus = queue.popleft()
        for branch in touching[bus]:
            if direction[branch] != 0:
                continue
            forward = from_bus[branch] == bus
            direction[branch] = 1 if forward else -1
            far = int(to_bus[branch] if forward else from_bus[branch])
            if far in reached:
                between = f"{bus_names[from_bus[branch]]} to {bus_names[to_bus[branch]]}"
                faults.append(
                    Fault(
                        source,
                        f"branch {branch_names[branch]}",
                        f"{between} closes a loop; a feeder must be radial, so take it or another branch of the loop "
                        "out of service",
                    )
                )
                continue
            reached.add(far)
            queue.append(far)
    faults += [
        Fault(
            source, f"bus {name}", "not connected to the slack bus; close a branch to it or take the bus out of service"
        )
        for index, name in enumerate(bus_names)
        if index not in reached
    ]
    if faults:
        raise InputError(faults)
    return direction


def plain_feeder(
    name: str,
    *,
    base_mva: float,
    base_kv: float,
    bus_names: Sequence[str],
    p_load_mw: Float[np.ndarray, " bus"],
    q_load_mvar: Float[np.ndarray, " bus"],
    from_bus: Int[np.ndarray, " branch"],
    to_bus: Int[np.ndarray, " branch"],
    r_ohm: Float[np.ndarray, " branch"],
    x_ohm: Float[np.ndarray, " branch"],
    i_max_ka: Float[np.ndarray, " branch"] | None = None,
    slack: int = 0,
    slack_v_pu: float = 1.0,
    v_min_pu: float = 0.9,
    v_max_pu: float = 1.1,
) -> Feeder:
    """Build a feeder of lines without charging, from physical units.

    Parameters
    ----------
    base_mva, base_kv : bases [MVA, kV]
    p_load_mw, q_load_mvar : nominal loads [MW, Mvar]
    from_bus, to_bus : bus indices of the ends of each line, either way round
    r_ohm, x_ohm : series impedance [ohm]; nothing, or next to it, is raised to `Z_MIN_PU`
    i_max_ka : thermal rating [kA], inf or NaN where unknown
    """
    branch_names = tuple(f"{bus_names[i]}-{bus_names[j]}" for i, j in zip(from_bus, to_bus, strict=True))
    direction = orient(name, bus_names, branch_names, from_bus, to_bus, slack)
    per_ohm = base_mva / base_kv**2
    none = np.zeros(len(bus_names))
    flat = np.zeros(len(branch_names))
    i_base_ka = base_mva / (np.sqrt(3.0) * base_kv)
    return Feeder(
        name=name,
        base_mva=float(base_mva),
        bus_names=tuple(bus_names),
        base_kv=np.full(len(bus_names), float(base_kv)),
        slack=slack,
        slack_v_pu=float(slack_v_pu),
        p_load_mw=np.array(p_load_mw, dtype=float),
        q_load_mvar=np.array(q_load_mvar, dtype=float),
        p_gen_mw=none.copy(),
        q_gen_mvar=none.copy(),
        g_shunt_pu=none.copy(),
        b_shunt_pu=none.copy(),
        v_min_pu=np.full(len(bus_names), float(v_min_pu)),
        v_max_pu=np.full(len(bus_names), float(v_max_pu)),
        branch_names=branch_names,
        parent=np.where(direction > 0, from_bus, to_bus),
        child=np.where(direction > 0, to_bus, from_bus),
        r_pu=np.asarray(r_ohm, dtype=float) * per_ohm,
        x_pu=np.asarray(x_ohm, dtype=float) * per_ohm,
        g_parent_pu=flat.copy(),
        b_parent_pu=flat.copy(),
        g_child_pu=flat.copy(),
        b_child_pu=flat.copy(),
        tap_parent=np.ones(len(branch_names)),
        tap_child=np.ones(len(branch_names)),
        shift_deg=flat.copy(),
        i_max_pu=np.full(len(branch_names), np.inf)
        if i_max_ka is None
        else np.nan_to_num(np.asarray(i_max_ka, dtype=float), nan=np.inf, posinf=np.inf) / i_base_ka,
        loading_max=np.ones(len(branch_names)),
    ).with_least_impedances()

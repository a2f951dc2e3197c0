"""Reader of MATPOWER case files (version 2), including those that convert ohms and kilowatts at their end.

Distribution cases such as ``case33bw.m`` end in statements that convert their tables; reading the tables alone would
take ohms for per unit without a word. Those statements are carried out, see
`gridferry.networks.readers.matlab_statements`.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from gridferry.networks.faults import Fault, InputError
from gridferry.networks.readers.matlab_statements import MatlabError, run_statements, split_statements

_COLUMNS = {"bus": 13, "gen": 10, "branch": 11}
"""Tables that make a net, and the columns each must have."""
_R, _X, _B, _RATE_A, _TAP, _SHIFT, _STATUS = 2, 3, 4, 5, 8, 9, 10
_TYPE, _BS, _BASE_KV = 1, 5, 9
_ISOLATED = 4.0


def read_case(path: Path, source: str) -> dict[str, Any]:
    """Return the fields of a case: ``baseMVA`` and the tables as arrays.

    Raises
    ------
    InputError
        with the line of a statement that is not understood, and tables that are missing or too narrow.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(Fault(source, "", f"cannot be read ({error.strerror})")) from error
    try:
        case = run_statements(split_statements(text))
    except MatlabError as error:
        raise InputError(
            Fault(
                source, f"line {error.line}", f"{error}; write the case with MATPOWER's savecase, which gives numbers"
            )
        ) from error
    faults = []
    for name, columns in _COLUMNS.items():
        table = case.get(name)
        if not isinstance(table, np.ndarray) or table.ndim != 2 or not table.size:
            faults.append(Fault(source, f"mpc.{name}", "missing; a MATPOWER case (version 2) has this table"))
        elif table.shape[1] < columns:
            faults.append(Fault(source, f"mpc.{name}", f"{table.shape[1]} columns; the format has at least {columns}"))
    if not isinstance(case.get("baseMVA"), float) or not case["baseMVA"] > 0.0:
        faults.append(Fault(source, "mpc.baseMVA", "missing or not above 0; give the power base in MVA"))
    if faults:
        raise InputError(faults)
    return case


def net_of_case(case: dict[str, Any], source: str) -> Any:
    """Turn a case into a pandapower net by pandapower's own converter.

    Buses keep MATPOWER's numbers as their names.

    Raises
    ------
    InputError
        for buses numbered twice, ends at buses that there are not, and what the converter refuses.
    """
    from pandapower.converter.pypower.from_ppc import from_ppc

    bus, gen, branch = (case[name].astype(float) for name in _COLUMNS)
    numbers = bus[:, 0].copy()
    faults = [
        Fault(source, f"mpc.bus, bus {number:g}", "numbered twice; give every bus its own number")
        for number, count in zip(*np.unique(numbers, return_counts=True), strict=True)
        if count > 1
    ]
    for table, rows, columns in (("gen", gen, (0,)), ("branch", branch, (0, 1))):
        for column in columns:
            faults += [
                Fault(source, f"mpc.{table}, row {row + 1}", f"bus {rows[row, column]:g} is not in mpc.bus")
                for row in np.flatnonzero(~np.isin(rows[:, column], numbers))
            ]
    for name, rows in (("bus", bus), ("branch", branch)):
        for row in np.flatnonzero(~np.isfinite(rows[:, : _COLUMNS[name]]).all(axis=1)):
            faults.append(Fault(source, f"mpc.{name}, row {row + 1}", "contains a value that is not finite"))
    if faults:
        raise InputError(faults)
    position = {number: index for index, number in enumerate(numbers)}
    bus[:, 0] = np.arange(len(bus))
    gen[:, 0] = [position[number] for number in gen[:, 0]]
    branch[:, 0] = [position[number] for number in branch[:, 0]]
    branch[:, 1] = [position[number] for number in branch[:, 1]]
    _make_exact(bus, branch, float(case["baseMVA"]))
    try:
        with warnings.catch_warnings():
            # the converter fills empty columns in a way that pandas warns of; the user can do nothing about it
            warnings.simplefilter("ignore", FutureWarning)
            net = from_ppc({"version": 2, "baseMVA": case["baseMVA"], "bus": bus, "gen": gen, "branch": branch})
    except Exception as error:
        raise InputError(Fault(source, "", f"pandapower cannot convert the case: {error}")) from error
    net.bus["name"] = [f"{number:g}" for number in numbers]
    lookup = net._from_ppc_lookups["branch"]
    impedances = (lookup["element_type"] == "impedance").to_numpy()
    if impedances.any():
        # pandapower's impedances have no rating of their own
        net.impedance["rating_mva"] = pd.Series(branch[impedances, _RATE_A], index=lookup["element"][impedances])
    return net


def _make_exact(bus: Float[np.ndarray, "bus column"], branch: Float[np.ndarray, "branch column"], mva: float) -> None:
    """Rewrite the branches, in place, so that pandapower's converter loses nothing of their π model.

    It expects a ratio of 1 where the format writes 0. It leaves a line to an isolated bus hanging in service. It takes
    the end of higher voltage of a transformer for the one with the ratio, so a transformer the other way round is
    turned (``z k²``, ``b / k²``, ``1 / k``). It makes a magnetising branch of the charging of a transformer, which is
    therefore given as shunts at its buses.
    """
    branch[branch[:, _TAP] == 0.0, _TAP] = 1.0
    ratio, ends = branch[:, _TAP], branch[:, :2].astype(np.int64)
    branch[(bus[ends, _TYPE] == _ISOLATED).any(axis=1), _STATUS] = 0.0
    transformer = (ratio != 1.0) | (branch[:, _SHIFT] != 0.0)
    turn = transformer & (bus[ends[:, 1], _BASE_KV] > bus[ends[:, 0], _BASE_KV])
    squared = ratio[turn] ** 2
    branch[turn, :2] = branch[turn, 1::-1]
    branch[turn, _R] *= squared
    branch[turn, _X] *= squared
    branch[turn, _B] /= squared
    branch[turn, _TAP] = 1.0 / ratio[turn]
    branch[turn, _SHIFT] *= -1.0

    charged = np.flatnonzero(transformer & (branch[:, _B] != 0.0) & (branch[:, _STATUS] > 0))
    half = mva * branch[charged, _B] / 2
    ends = branch[charged, :2].astype(np.int64)
    np.add.at(bus[:, _BS], ends[:, 0], half / branch[charged, _TAP] ** 2)
    np.add.at(bus[:, _BS], ends[:, 1], half)
    branch[transformer, _B] = 0.0

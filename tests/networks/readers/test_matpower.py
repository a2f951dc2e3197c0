"""MATPOWER case files: tables, the statements that convert them, and the branch model of the format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridferry.networks.admittance import admittance
from gridferry.networks.catalog import load_network
from gridferry.networks.faults import InputError
from gridferry.networks.network import Network
from gridferry.networks.published import DATA
from gridferry.networks.readers.matlab_statements import run_statements, split_statements

CONVERSION = """
%% from ohms and kilowatts
[PQ, PV, REF, NONE, BUS_I, BUS_TYPE, PD, QD, GS, BS, BUS_AREA, VM, ...
    VA, BASE_KV, ZONE, VMAX, VMIN] = idx_bus;
[F_BUS, T_BUS, BR_R, BR_X] = idx_brch;
Vbase = mpc.bus(1, BASE_KV) * 1e3;      %% volts
Sbase = mpc.baseMVA * 1e6;              % volt-amperes
mpc.branch(:, [BR_R BR_X]) = mpc.branch(:, [BR_R BR_X]) / (Vbase^2 / Sbase);
mpc.bus(:, [PD, QD]) = mpc.bus(:, [PD, QD]) / 1e3;
"""


def published_case() -> str:
    """Write ieee33 as a case in ohms and kilowatts, ties out of service, converted at the end."""
    buses, branches = pd.read_csv(DATA / "ieee33_buses.csv"), pd.read_csv(DATA / "ieee33_branches.csv")
    bus = "\n".join(
        f"\t{b.bus}\t{3 if b.bus == 1 else 1}\t{b.p_load_kw}\t{b.q_load_kvar}\t0\t0\t1\t1\t0\t12.66\t1\t1.1\t0.9;"
        for b in buses.itertuples()
    )
    branch = "\n".join(
        f"\t{b.from_bus}\t{b.to_bus}\t{b.r_ohm}\t{b.x_ohm}\t0\t0\t0\t0\t0\t0\t{b.in_service}\t-360\t360;"
        for b in branches.itertuples()
    )
    return (
        "function mpc = published\n%PUBLISHED  what it is\nmpc.version = '2';\nmpc.baseMVA = 10;\n"
        f"mpc.bus = [ %% (kW, kvar)\n{bus}\n];\n"
        "mpc.gen = [\n\t1\t0\t0\t10\t-10\t1\t100\t1\t10\t0;\n];\n"
        f"mpc.branch = [  %% (ohms)\n{branch}\n];\n"
        "mpc.gencost = [\n\t2\t0\t0\t3\t0\t20\t0;\n];\nmpc.bus_name = {\n\t'a; b';\n\t'c % d';\n};\n" + CONVERSION
    )


def load(text: str, folder: Path) -> Network:
    (folder / "case.m").write_text(text)
    return load_network("case.m", folder)


def test_a_case_in_ohms_and_kilowatts_is_the_feeder_in_per_unit(tmp_path: Path) -> None:
    theirs, ours = load(published_case(), tmp_path).feeder, load_network("ieee33", Path()).feeder
    assert theirs.bus_names == ours.bus_names
    assert theirs.base_mva == ours.base_mva
    for name in ("r_pu", "x_pu", "p_load_mw", "q_load_mvar", "i_max_pu", "v_min_pu", "v_max_pu", "base_kv"):
        np.testing.assert_allclose(getattr(theirs, name), getattr(ours, name), rtol=1e-9, err_msg=name)


TRANSFORMERS = """
function mpc = transformers
mpc.version = '2';
mpc.baseMVA = 10;
mpc.bus = [
    10  3  0    0    0    0    1  1  0   20    1  1.1   0.9;
    7   1  1    0.5  0.2  0.3  1  1  0   20    1  1.05  0.95;
    3   1  0.5  0.2  0    0    1  1  0   0.4   1  1.1   0.9;
    4   1  -.5  0.2  0    0.1  1  1  0   20    1  1.1   0.9
    5   1  0.1  0    0    0    1  1  0   0.4   1  1.1   0.9;  9 4 1 1 0 0 1 1 0 20 1 1.1 0.9;
];
mpc.gen = [ 10 0.2 0 10 -10 1.02 100 1 10 0; 4 0.3 0.1 1 -1 1 100 1 1 0 ];
mpc.branch = [
    10  7  0.01  0.02  0.03   5  0  0  0     0    1  -360  360;
    3   7  0.01  0.05  -0.02  2  0  0  1.03  30   1  -360  360;
    4   7  0.01  0.05  0.01   2  0  0  0.97  0    1  -360  360;
    5   7  0.02  0.06  0.04   3  0  0  0     0    1  -360  360;
    7   9  0.02  0.06  0.04   3  0  0  0     0    1  -360  360;
    10  4  0.02  0.06  0.04   3  0  0  0     0    0  -360  360;
];
"""


def test_transformers_either_way_round_are_exact(tmp_path: Path) -> None:
    """By the format's branch equations, stamped here: Y_ff = (y + jb/2) / k², Y_ft = -y / conj(k e^jθ), …"""
    network = load(TRANSFORMERS, tmp_path)
    feeder = network.feeder
    position = {"10": 0, "7": 1, "3": 2, "4": 3, "5": 4}
    assert feeder.bus_names == tuple(position)
    y = np.diag(np.array([0, 0.2 + 0.3j, 0, 0.1j, 0]) / 10)
    for f, t, r, x, b, ratio, shift in [
        ("10", "7", 0.01, 0.02, 0.03, 1.0, 0.0),
        ("3", "7", 0.01, 0.05, -0.02, 1.03, 30.0),
        ("4", "7", 0.01, 0.05, 0.01, 0.97, 0.0),
        ("5", "7", 0.02, 0.06, 0.04, 1.0, 0.0),
    ]:
        series, tap, ends = 1 / (r + 1j * x), ratio * np.exp(1j * np.deg2rad(shift)), [position[f], position[t]]
        y[np.ix_(ends, ends)] += [
            [(series + 0.5j * b) / ratio**2, -series / np.conj(tap)],
            [-series / tap, series + 0.5j * b],
        ]
    np.testing.assert_allclose(admittance(feeder).bus.toarray() * feeder.base_mva / 10, y, rtol=0, atol=1e-10)
    assert feeder.slack_v_pu == 1.02
    np.testing.assert_allclose(feeder.p_load_mw - feeder.p_gen_mw, [-0.0, 1, 0.5, -0.8, 0.1], atol=1e-12)
    np.testing.assert_allclose(feeder.q_load_mvar - feeder.q_gen_mvar, [0, 0.5, 0.2, 0.1, 0], atol=1e-12)
    np.testing.assert_allclose(feeder.i_max_pu * feeder.base_mva, [5, 2 / 1.03, 2 * 0.97, 3], rtol=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("mpc.baseMVA = 10;", "", "mpc.baseMVA: missing"),
        ("mpc.gen = [", "mpc.gan = [", "mpc.gen: missing"),
        ("    4   7  0.01", "    4   6  0.01", "mpc.branch, row 3: bus 6 is not in mpc.bus"),
        ("    3   1  0.5", "    7   1  0.5", "mpc.bus, bus 7: numbered twice"),
        ("0.01  0.05  -0.02", "0.01  NaN  -0.02", "mpc.branch, row 2: contains a value that is not finite"),
        ("];", "];\nmpc = scale_load(2, mpc);", 'line 11: "mpc = scale_load(2, mpc)" is not understood'),
        ("mpc.baseMVA = 10;", "mpc.baseMVA = base;", 'line 3: "mpc.baseMVA = base" is not understood'),
        ("    7   9  0.02  0.06", "    7   9  0.02", "row 5 of the table has 12 values, the first has 13"),
        ("];", "", "a bracket is never closed"),
        ("mpc.bus = [", "if true\nmpc.bus = [", 'line 4: "if true" is not understood'),
        ("4 0.3 0.1 1 -1 1 100 1 1 0 ]", "10 0 0 1 -1 1 100 1 1 0 ]", ""),
    ],
)
def test_faults_of_a_case_name_the_line_or_the_row(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = TRANSFORMERS.lstrip("\n")
    assert old in text
    text = text.replace(old, new, 1)
    if not message:
        assert load(text, tmp_path).feeder.n_bus == 5
        return
    with pytest.raises(InputError) as caught:
        load(text, tmp_path)
    assert message in str(caught.value)


def test_a_generator_that_holds_a_voltage_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="controls a voltage away from the slack bus"):
        load(TRANSFORMERS.replace("    4   1  -.5", "    4   2  -.5"), tmp_path)


@given(value=st.floats(0.1, 9.0), power=st.integers(1, 3))
def test_arithmetic_on_columns_is_that_of_numpy(value: float, power: int) -> None:
    text = f"""mpc.baseMVA = 100;
    mpc.bus = [1, 2; 3, 4]; define_constants; pf = 0.85; k = -({value!r} + 1) ^ {power};
    mpc.bus(:, 2) = k * mpc.bus(:, 1) .* tan(acos(pf)) ./ (mpc.baseMVA - 1);
    mpc.bus(2, [1 2]) = [1 2](1);"""
    with pytest.raises(Exception, match="not understood"):
        run_statements(split_statements(text))
    case = run_statements(split_statements(text.rsplit("mpc.bus(2", 1)[0]))
    first = np.array([1.0, 3.0])
    expected = -((value + 1) ** power) * first * np.tan(np.arccos(0.85)) / 99
    np.testing.assert_allclose(case["bus"], np.column_stack([first, expected]), rtol=1e-12)


def test_comments_strings_and_continued_lines_split_as_matlab_does() -> None:
    statements = split_statements(
        "a = 1; b = 2, c = [1 2 ... all of it\n 3];  % d = 4\n%{\nx = 5\n%}\ns = 'it; is % no, comment';\nm = [1\n2]\n"
    )
    assert [(line, " ".join(one.split())) for line, one in statements] == [
        (1, "a = 1"),
        (1, "b = 2"),
        (1, "c = [1 2 3]"),
        (6, "s = 'it; is % no, comment'"),
        (7, "m = [1 2]"),
    ]

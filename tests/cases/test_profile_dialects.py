"""Profiles as the world writes them: dialects of CSV, time stamps, Excel, net meters, units, and messages."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gridferry.networks.faults import InputError
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.case.profiles.file import open_profile
from gridferry.sim.case.profiles.table import ProfileTable, read_profile
from gridferry.sim.cli import app
from gridferry.sim.config.clock import Clock
from gridferry.sim.config.profile_schema import ProfileSource, Resample

DAY = datetime(2024, 7, 15)
QUARTERS = "t,load\n2024-07-15T00:00:00,1\n2024-07-15T00:15:00,2\n2024-07-15T00:30:00,3\n2024-07-15T00:45:00,4\n"
CONFIG = """
name = "dialect"

[time]
start = 2024-07-15T00:00:00
step_s = 900
steps = 4

[profiles.p]
file = "p.csv"
time = "t"
PROFILE

[[networks]]
name = "dn1"
feeder = "three_bus"

[[loads]]
network = "dn1"
bus = "3"
p_mw = "p.load"
LOAD
"""


def read(path: Path, clock: Clock, columns: Sequence[str] = ("load",), **keys: Any) -> ProfileTable:
    return read_profile(open_profile(path, ProfileSource(**{"file": path.name, "time": "t"} | keys)), columns, clock)


def of_text(folder: Path, text: str | bytes, clock: Clock | None = None, **keys: Any) -> ProfileTable:
    path = folder / "p.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, clock or Clock(DAY, 900, 4), **keys)


def values(table: ProfileTable) -> list[float]:
    return table.resampled("load", Resample.MEAN).tolist()


def fault(folder: Path, text: str | bytes, clock: Clock | None = None, **keys: Any) -> str:
    with pytest.raises(InputError) as caught:
        of_text(folder, text, clock, **keys)
    return str(caught.value)


def config(folder: Path, text: str, profile: str = "", load: str = "") -> Path:
    (folder / "p.csv").write_text(text)
    path = folder / "dialect.toml"
    path.write_text(CONFIG.replace("PROFILE", profile).replace("LOAD", load))
    return path


def loads(path: Path) -> list[float]:
    return build_case(load_config(path)).conditions.load_p_mw[:, 2].tolist()


# ---------------------------------------------------------------------------------------------------------- round trip


FORMATS = {
    "iso": "%Y-%m-%dT%H:%M:%S",
    "German": "%d.%m.%Y %H:%M",
    "digits": "%Y%m%d%H%M",
    "American": "%m/%d/%Y %I:%M %p",
}


@settings(max_examples=80, deadline=None)
@given(
    numbers=st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=4, max_size=12),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    comma=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    stamp=st.sampled_from(sorted(FORMATS)),
    comments=st.booleans(),
    blanks=st.integers(0, 3),
    ends=st.booleans(),
    said=st.booleans(),
    line=st.sampled_from(["\n", "\r\n"]),
)
def test_a_profile_written_in_any_dialect_is_read_back_equal(
    numbers: list[float],
    separator: str,
    comma: bool,
    encoding: str,
    stamp: str,
    comments: bool,
    blanks: int,
    ends: bool,
    said: bool,
    line: str,
) -> None:
    header = ["t", "load" if encoding == "cp1252" and not said else "Zähler"]
    rows = [(DAY + timedelta(minutes=15 * (i + ends)), number) for i, number in enumerate(numbers)]
    cells = [[one.strftime(FORMATS[stamp]), repr(number)] for one, number in rows]
    if comma:
        cells = [[one, number.replace(".", ",")] for one, number in cells]
    text = (
        [["# meter 7; 15 min"]] * comments
        + [header]
        + [[f'"{one}"' if separator in one else one for one in row] for row in cells]
    )
    text += [["", ""]] * blanks
    keys: dict[str, Any] = {"stamps": "end"} if ends else {}
    if said:
        keys |= {"separator": separator, "decimal": "," if comma else ".", "encoding": encoding}
        keys |= {"time_format": FORMATS[stamp], "comment": "#"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.csv"
        path.write_bytes("".join(separator.join(row) + line for row in text).encode(encoding))
        found = read(path, Clock(DAY, 900, len(numbers)), header[1:], **keys)
    assert found.raw[header[1]].tolist() == numbers
    assert found.time_s.tolist() == [900 * i for i in range(len(numbers))]


# -------------------------------------------------------------------------------------------------------------- cases


def test_a_semicolon_file_is_read_and_check_says_so(tmp_path: Path) -> None:
    path = config(tmp_path, QUARTERS.replace(",", ";"))
    assert loads(path) == [1, 2, 3, 4]
    said = CliRunner().invoke(app, ["check", str(path)])
    assert said.exit_code == 0
    assert 'p.csv: separator = ";"' in said.output


def test_rows_stamped_at_their_end_are_read_by_key_which_the_message_names(tmp_path: Path) -> None:
    ends = "t,load\n2024-07-15T00:15:00,1\n2024-07-15T00:30:00,2\n2024-07-15T00:45:00,3\n2024-07-15T01:00:00,4\n"
    assert 'stamps = "end"' in fault(tmp_path, ends)
    assert values(of_text(tmp_path, ends, stamps="end")) == [1, 2, 3, 4]


def test_a_net_meter_is_read_as_signed_and_what_is_below_zero_is_clipped_on_request(tmp_path: Path) -> None:
    text = QUARTERS.replace(",2\n", ",-0.5\n")
    with pytest.raises(InputError, match="signed = true") as caught:
        loads(config(tmp_path, text))
    assert "clip = true" in str(caught.value)
    assert loads(config(tmp_path, text, load="signed = true")) == [1, -0.5, 3, 4]
    path = config(tmp_path, text, profile="clip = true")
    assert loads(path) == [1, 0, 3, 4]
    assert "1 negative values, down to -0.5, count as 0" in CliRunner().invoke(app, ["check", str(path)]).output
    column = config(tmp_path, text)
    column.write_text(column.read_text().replace('"p.load"', '{ column = "p.load", clip = true, scale = 2.0 }'))
    assert loads(column) == [2, 0, 6, 8]


def test_blank_rows_at_the_end_are_no_rows(tmp_path: Path) -> None:
    found = of_text(tmp_path, QUARTERS + ",\n,\n")
    assert values(found) == [1, 2, 3, 4]
    assert found.file.notes == ["2 blank rows at its end left out"]


@pytest.mark.parametrize(
    ("unit", "row", "expected_mw"), [("kW", "250", 0.25), ("W", "250", 25e-5), ("kWh", "25", 0.1), ("MW", "2", 2.0)]
)
def test_units_of_powers_and_of_energies_by_quarter_hour(
    tmp_path: Path, unit: str, row: str, expected_mw: float
) -> None:
    text = QUARTERS.replace(",2\n", f",{row}\n").replace(",1\n", ",0\n").replace(",3\n", ",0\n").replace(",4\n", ",0\n")
    assert loads(config(tmp_path, text, profile=f'unit = "{unit}"'))[1] == pytest.approx(expected_mw, rel=1e-12)
    column = config(tmp_path, text)
    column.write_text(column.read_text().replace('"p.load"', f'{{ column = "p.load", unit = "{unit}" }}'))
    assert loads(column)[1] == pytest.approx(expected_mw, rel=1e-12)


def test_the_unit_of_a_file_is_not_that_of_prices_and_kw_read_as_mw_are_told(tmp_path: Path) -> None:
    path = config(tmp_path, QUARTERS, profile='unit = "kW"')
    path.write_text(path.read_text() + '\n[prices]\nbuy = "p.load"\n')
    assert build_case(load_config(path)).conditions.buy_price.tolist() == [1, 2, 3, 4]
    path.write_text(path.read_text().replace('buy = "p.load"', 'buy = { column = "p.load", unit = "kW" }'))
    with pytest.raises(InputError, match=r"prices\.buy\.unit.*no power"):
        build_case(load_config(path))
    with pytest.raises(InputError, match="say its unit"):
        build_case(load_config(config(tmp_path, QUARTERS.replace(",1\n", ",1500\n"))))


# --------------------------------------------------------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("written", "note"),
    [
        ([str(int(datetime(2024, 7, 15, 0, 15 * i, tzinfo=UTC).timestamp())) for i in range(4)], '"epoch"'),
        ([f"{int(datetime(2024, 7, 15, 0, 15 * i, tzinfo=UTC).timestamp())}000" for i in range(4)], '"epoch_ms"'),
        ([f"2024-07-15 00:{15 * i:02d}:00 UTC" for i in range(4)], 'end in "UTC"'),
        ([f"2024-07-15 02:{15 * i:02d} CEST" for i in range(4)], 'end in "CEST"'),
    ],
)
def test_moments_are_read_whatever_clock_they_are_written_by(tmp_path: Path, written: list[str], note: str) -> None:
    text = "t,load\n" + "".join(f"{one},{i + 1}\n" for i, one in enumerate(written))
    found = of_text(tmp_path, text, Clock(datetime(2024, 7, 15, 2, tzinfo=ZoneInfo("Europe/Berlin")), 900, 4))
    assert values(found) == [1, 2, 3, 4]
    assert note in found.file.notes[0]
    assert "timezone" in fault(tmp_path, text)  # a run without offset has other times


def test_dates_that_can_be_read_in_two_ways_are_refused_with_both(tmp_path: Path) -> None:
    text = "t,load\n01/07/2024 00:00,1\n01/07/2024 00:15,2\n"
    message = fault(tmp_path, text)
    assert 'time_format = "%d/%m/%Y %H:%M" or time_format = "%m/%d/%Y %H:%M"' in message
    clock = Clock(datetime(2024, 7, 1), 900, 2)
    assert values(of_text(tmp_path, text, clock, time_format="%d/%m/%Y %H:%M")) == [1, 2]
    assert values(of_text(tmp_path, text, clock)) == [1, 2]  # the other day is not that of the run
    longer = "t,load\n" + "".join(f"{day:02d}/07/2024,{day}\n" for day in range(1, 21))
    assert of_text(tmp_path, longer, Clock(datetime(2024, 7, 1), 3600, 4)).spacing_s == 86400
    assert "not in the run" in fault(tmp_path, "t,load\n20240101,1\n20240102,2\n")


def test_hour_24_is_the_end_of_a_day(tmp_path: Path) -> None:
    text = "t;load\n15.07.2024 23:30;1\n15.07.2024 23:45;2\n15.07.2024 24:00;3\n16.07.2024 00:15;4\n"
    clock = Clock(datetime(2024, 7, 15, 23, 15), 900, 4)
    assert values(of_text(tmp_path, text, clock, stamps="end")) == [1, 2, 3, 4]


def test_hours_of_the_year_count_from_new_year_by_key_which_the_message_or_a_note_names(tmp_path: Path) -> None:
    text = "t,load\n" + "".join(f"{hour},{hour}\n" for hour in range(8784))
    july = Clock(DAY, 3600, 2)
    first = (DAY - datetime(2024, 1, 1)).days * 24
    assert values(of_text(tmp_path, text, july, hours_from="year")) == [first, first + 1]
    assert 'hours_from = "year"' in of_text(tmp_path, text, july).file.notes[0]
    berlin = Clock(DAY.replace(tzinfo=ZoneInfo("Europe/Berlin")), 3600, 2)
    assert values(of_text(tmp_path, text, berlin, hours_from="year")) == [first - 1, first]  # summer time


def test_local_stamps_of_the_night_when_clocks_go_back_are_moments_by_their_order(tmp_path: Path) -> None:
    begin = datetime(2024, 10, 26, 22, tzinfo=UTC)
    moments = [begin + timedelta(minutes=15 * i) for i in range(100)]
    berlin = ZoneInfo("Europe/Berlin")
    rows = [f"{one.astimezone(berlin):%d.%m.%Y %H:%M};{i}" for i, one in enumerate(moments)]
    clock = Clock(datetime(2024, 10, 27, tzinfo=berlin), 900, 100)
    text = "t;load\n" + "\n".join(rows)
    assert values(of_text(tmp_path, text, clock, timezone="Europe/Berlin")) == list(range(100))
    assert "say their timezone" in fault(tmp_path, text, clock)
    winter = [f"{datetime(2024, 3, 31) + timedelta(minutes=15 * i):%Y-%m-%d %H:%M},{i}" for i in range(96)]
    skipped = fault(
        tmp_path,
        "t,load\n" + "\n".join(winter),
        Clock(datetime(2024, 3, 31, tzinfo=berlin), 900, 4),
        timezone="Europe/Berlin",
    )
    assert "line 10" in skipped
    assert "2024-03-31T02:00:00 is skipped by the clocks" in skipped


# ------------------------------------------------------------------------------------------------------------ messages


def test_a_semicolon_file_without_the_column_says_how_it_was_read(tmp_path: Path) -> None:
    message = fault(tmp_path, "zeit;last\n0;1\n1;2\n")
    assert "there is zeit, last" in message
    assert 'separator = ";"' in message


def test_a_decimal_comma_is_found_and_what_may_be_thousands_is_refused(tmp_path: Path) -> None:
    clock = Clock(DAY, 3600, 2)
    assert values(of_text(tmp_path, "t;load\n0;1,5\n1;2,25\n", clock)) == [1.5, 2.25]
    assert values(of_text(tmp_path, "t;load\n0,0;0,500\n1,0;2,250\n", clock)) == [0.5, 2.25]
    both = "t;load\n0;1,500\n1;2,250\n"
    assert 'decimal = ","' in fault(tmp_path, both, clock)
    assert values(of_text(tmp_path, both, clock, decimal=",")) == [1.5, 2.25]
    grouped = of_text(tmp_path, "t;load\n0;1.234,5\n1;2,5\n", clock)
    assert '"1.234,5" is no finite number' in str(grouped.faults("load")[0])


def test_cp1252_is_named_with_what_it_reads(tmp_path: Path) -> None:
    raw = "t;load;Größe\n0;1;x\n1;2;y\n".encode("cp1252")
    message = fault(tmp_path, raw, Clock(DAY, 3600, 2))
    assert "line 1: not UTF-8 text (byte 0xf6)" in message
    assert 'encoding = "cp1252"' in message
    assert "'t;load;Größe'" in message
    assert values(of_text(tmp_path, raw, Clock(DAY, 3600, 2), encoding="cp1252")) == [1, 2]


def test_a_windows_path_in_double_quotes_is_answered_with_single_quotes(tmp_path: Path) -> None:
    path = config(tmp_path, QUARTERS)
    for written, words in (
        (r'"C:\data\p.csv"', r"in single quotes, 'C:\data\p.csv'"),
        (r'"C:\new.csv"', "single quotes"),
    ):
        broken = tmp_path / "windows.toml"
        broken.write_text(path.read_text().replace('"p.csv"', written))
        with pytest.raises(InputError) as caught:
            load_config(broken)
        assert words in str(caught.value)


# --------------------------------------------------------------------------------------------------------------- Excel


def workbook(path: Path, rows: list[list[Any]], title: str = "Loads") -> Path:
    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    book.create_sheet("Notes").append(["nothing"])
    book.save(path)
    return path


def test_an_excel_sheet_is_read_as_the_csv_of_it(tmp_path: Path) -> None:
    stamps = [DAY + timedelta(minutes=5 * i) for i in range(12)]
    numbers = np.round(np.random.default_rng(1).random(12), 6).tolist()
    rows: list[list[Any]] = [["t", "load"], *map(list, zip(stamps, numbers, strict=True))]
    path = workbook(tmp_path / "p.xlsx", rows)
    found = read(path, Clock(DAY, 900, 4))
    assert values(found) == pytest.approx(np.reshape(numbers, (4, 3)).mean(axis=1), rel=1e-12)
    assert found.file.notes == ['sheet = "Loads", the first of Loads, Notes']
    texts = workbook(tmp_path / "q.xlsx", [[], ["t", "load"], ["15.07.2024 00:00", 1], ["15.07.2024 00:15", "2"]])
    assert values(read(texts, Clock(DAY, 900, 2), sheet="Loads")) == [1, 2]
    gap = workbook(tmp_path / "g.xlsx", [["t", "load"], [0, 1], [0.25, None], [0.5, "?"]])
    assert "row 3" in str(read(gap, Clock(DAY, 900, 3)).faults("load")[0])
    with pytest.raises(InputError, match="no such sheet"):
        read(path, Clock(DAY, 900, 4), sheet="Load")
    (tmp_path / "no.xlsx").write_text("no workbook")
    with pytest.raises(InputError, match="cannot be read as Excel"):
        read(tmp_path / "no.xlsx", Clock(DAY, 900, 4))

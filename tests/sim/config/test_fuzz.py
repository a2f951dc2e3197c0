"""Whatever is typed into a config or a setting: it runs, or it is refused with faults; never anything else."""

from __future__ import annotations

import string
import tempfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridferry.networks.faults import InputError
from gridferry.sim.case.case import build_case
from gridferry.sim.case.loading import load_config
from gridferry.sim.config.reading import complete

CONFIGS = ("three_bus", "ieee33_day", "two_feeders")
DOCUMENTS = {name: dict(load_config(name).document) for name in CONFIGS}

words = st.text(st.characters(blacklist_categories=("Cs",)), max_size=8)
scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-3, 3),
    st.floats(),
    words,
    st.sampled_from(["dn1", "dn2", "S1", "T1", "year.load_mw", "day.p_pv_mw", "day.nothing", "ieee69", "start", "18"]),
    st.just(datetime(2024, 7, 15, 0, 15)),
    st.just(date(2024, 7, 15)),
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3))


def places(value: Any, loc: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places in a document below its root."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, one in inner for place in ((*loc, key), *places(one, (*loc, key)))]


def accept_or_refuse(path: str | Path, overrides: tuple[str, ...] = ()) -> bool:
    """Read and assemble a config as a run does; whether it was accepted."""
    try:
        loaded = load_config(path, overrides)
        # what a run would need hours and memory for is no matter of reading a config
        if loaded.config.time.steps <= 10_000:
            build_case(loaded)
    except InputError as error:
        assert error.faults
        assert all(fault.source and fault.message for fault in error.faults)
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=30),
            st.builds(
                lambda loc, value: f"{'.'.join(str(part) for part in loc)}={value}",
                st.sampled_from(places(DOCUMENTS["two_feeders"])),
                st.one_of(words, scalars.map(str), st.text(string.punctuation + string.digits, max_size=8)),
            ),
        ),
        max_size=3,
    )
)
def test_any_setting_is_accepted_or_refused_with_faults(overrides: list[str]) -> None:
    accept_or_refuse("two_feeders", tuple(overrides))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_accepted_or_refused_with_faults(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.toml"
        path.write_bytes(content)
        assert not accept_or_refuse(path)


@pytest.mark.parametrize("name", CONFIGS)
def test_good_config_is_accepted(name: str) -> None:
    assert accept_or_refuse(name)
    assert complete(load_config(name).config) == DOCUMENTS[name]

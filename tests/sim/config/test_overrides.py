"""Settings as text are read back as they were, whatever is in them."""

from datetime import datetime

import pytest

from gridferry.sim.config.document import toml_text
from gridferry.sim.config.overrides import parse_setting


@pytest.mark.parametrize(
    "value",
    [
        "a path of many folders/" * 20,
        'says "yes" \\ no',
        [0.5] * 100,
        {"file": "a b.csv", "a key": [1, 2]},
        datetime(2024, 6, 14, 12),
        True,
        1e-9,
    ],
)
def test_a_setting_is_read_back_however_long_it_is(value):
    assert parse_setting(f"controller.value={toml_text(value)}") == {"controller": {"value": value}}

"""Arrays that nobody can write to, and copies that share nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as arrays

from gridferry.networks.read_only import immutable, own_copy


@given(
    arrays.arrays(
        arrays.scalar_dtypes().filter(lambda kind: kind.kind in "biuf"), arrays.array_shapes(min_dims=0, min_side=0)
    )
)
def test_an_immutable_array_has_the_same_values_and_cannot_be_unlocked(values: np.ndarray) -> None:
    taken = immutable(values)
    assert taken.dtype == values.dtype
    np.testing.assert_array_equal(taken, values)
    for one in (taken, taken[...], taken.view()):
        assert not one.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            one.setflags(write=True)


def test_an_immutable_array_does_not_follow_the_one_it_was_made_from() -> None:
    values = np.arange(6.0).reshape(2, 3)[:, ::-1]
    taken = immutable(values)
    values[:] = 0.0
    assert taken.tolist() == [[2.0, 1.0, 0.0], [5.0, 4.0, 3.0]]


@dataclass(frozen=True)
class Leaf:
    values: np.ndarray
    known: Any = None


def test_a_copy_of_its_own_shares_nothing_that_can_be_written_to() -> None:
    given = Leaf(np.zeros(2), {"rows": [[1, 2], {"a": Leaf(np.ones(1))}], "name": "x"})
    copy = own_copy(given)
    object.__setattr__(copy, "values", np.full(2, 9.0))
    copy.known["rows"][0].append(3)
    with pytest.raises(TypeError):
        copy.known["name"] = "y"
    with pytest.raises(ValueError, match="read-only"):
        copy.known["rows"][1]["a"].values[0] = 5.0
    assert given.values.tolist() == [0.0, 0.0]
    assert given.known["rows"][0] == [1, 2]
    assert given.known["rows"][1]["a"].values.tolist() == [1.0]

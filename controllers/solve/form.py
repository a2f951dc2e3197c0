"""Mixed-integer conic problem as matrices: the common input of all solvers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

from gridferry.controllers import tolerances


@dataclass(frozen=True, eq=False)
class ConicForm:
    """Minimise ``c'x + offset`` subject to ``b - A x`` in {0} × R₊ × second-order cones, some x binary.

    Attributes
    ----------
    cost, offset : c and the constant of the objective
    a, b : the rows; first the equations, then the inequalities, then the cones one after another, head first
    n_zero, n_nonneg : number of equations and of inequalities
    cone_sizes : rows of each second-order cone
    integer : which columns must be integers
    equal : which cones hold with equality in the exact problem, of which this is a relaxation
    product : which of these are products, ``a b ≥ p² + q²`` as ``a + b ≥ ‖(2p, 2q, a - b)‖``
    columns : where each cvxpy variable lies, by its id
    """

    cost: Float[np.ndarray, " column"]
    offset: float
    a: sp.csr_array
    b: Float[np.ndarray, " row"]
    n_zero: int
    n_nonneg: int
    cone_sizes: Int[np.ndarray, " cone"]
    integer: Bool[np.ndarray, " column"]
    equal: Bool[np.ndarray, " cone"]
    product: Bool[np.ndarray, " cone"]
    columns: dict[int, slice]

    @property
    def n(self) -> int:
        """Number of columns."""
        return len(self.cost)

    @property
    def n_linear(self) -> int:
        """Rows before the cones."""
        return self.n_zero + self.n_nonneg

    @cached_property
    def cone_starts(self) -> Int[np.ndarray, " cone"]:
        """Row of the head of each cone, counted from the first cone row."""
        return np.cumsum(self.cone_sizes) - self.cone_sizes

    @cached_property
    def cone_of_row(self) -> Int[np.ndarray, " conerow"]:
        """Cone that each cone row belongs to."""
        return np.repeat(np.arange(len(self.cone_sizes), dtype=np.int64), self.cone_sizes)

    @cached_property
    def is_head(self) -> Bool[np.ndarray, " conerow"]:
        """Which cone rows are heads."""
        head = np.zeros(int(self.cone_sizes.sum()), dtype=bool)
        head[self.cone_starts] = True
        return head

    @cached_property
    def linear_part(self) -> sp.csr_array:
        """Rows of the equations and inequalities."""
        return self.a[: self.n_linear]

    @cached_property
    def cone_part(self) -> sp.csr_array:
        """Rows of the cones."""
        return self.a[self.n_linear :]

    def with_rows(self, kept: Bool[np.ndarray, " row"]) -> ConicForm:
        """Return the problem with some of its rows; of a cone all or none."""
        cones = kept[self.n_linear :][self.cone_starts]
        return replace(
            self,
            a=self.a[np.flatnonzero(kept)],
            b=self.b[kept],
            n_zero=int(kept[: self.n_zero].sum()),
            n_nonneg=int(kept[self.n_zero : self.n_linear].sum()),
            cone_sizes=self.cone_sizes[cones],
            equal=self.equal[cones],
            product=self.product[cones],
        )

    def objective(self, x: Float[np.ndarray, " column"]) -> float:
        """Cost of a point."""
        return float(self.cost @ x) + self.offset

    def cone_slack(self, x: Float[np.ndarray, " column"]) -> Float[np.ndarray, " cone"]:
        """``h - ‖t‖`` of every cone at a point."""
        return self.cone_values(x)[self.cone_starts] - self.cone_tails(x)

    def cone_tails(self, x: Float[np.ndarray, " column"]) -> Float[np.ndarray, " cone"]:
        """``‖t‖`` of every cone at a point."""
        squares = np.where(self.is_head, 0.0, self.cone_values(x)) ** 2
        return np.asarray(np.sqrt(np.bincount(self.cone_of_row, squares, len(self.equal))))

    def is_exact(self, x: Float[np.ndarray, " column"]) -> bool:
        """Whether a point satisfies the exact problem."""
        slack, cones = (self.b - self.a @ x)[: self.n_linear], self.cone_slack(x)
        rows = np.concatenate([np.abs(slack[: self.n_zero]), -slack[self.n_zero :]]) <= tolerances.EXACT
        tolerance = np.where(self.product, tolerances.EXACT_PRODUCT, tolerances.EXACT)
        return bool(rows.all() and np.all(np.where(self.equal, np.abs(cones), -cones) <= tolerance))

    def cone_values(self, x: Float[np.ndarray, " column"]) -> Float[np.ndarray, " conerow"]:
        """Entries of all cones at a point."""
        return self.b[self.n_linear :] - self.cone_part @ x


def conic_form(
    cost: cp.Expression,
    constraints: Sequence[cp.Constraint],
    binaries: Sequence[cp.Variable],
    equal: Sequence[cp.SOC] = (),
    products: Sequence[cp.SOC] = (),
) -> ConicForm:
    """Return the matrices of a cvxpy model; its ``binaries`` are declared continuous, their 0-1 bounds are added.

    Parameters
    ----------
    equal, products : those of the constraints that hold with equality in the exact problem; `ConicForm.product`

    Raises
    ------
    ValueError
        where the model needs another cone than the second-order cone, or has a quadratic objective.
    """
    bounds = [bound for one in binaries for bound in (one >= 0, one <= 1)]
    for one in {one for part in (cost, *constraints) for one in part.variables()}:
        if any(one.attributes[name] for name in ("nonneg", "nonpos", "boolean", "integer", "symmetric", "PSD", "diag")):
            raise ValueError(f"{one.name()}: state the limits of a variable as constraints, not as attributes")
    problem = cp.Problem(cp.Minimize(cost), [*constraints, *bounds])
    data, _, inverse = problem.get_problem_data(cp.CLARABEL, ignore_dpp=not problem.parameters())
    dims = data["dims"]
    if data.get("P") is not None or dims.exp or dims.psd or dims.p3d or dims.pnd:
        raise ValueError("only linear objectives and second-order cones can be solved here")
    columns = data["param_prob"].var_id_to_col
    sizes = {one.id: one.size for one in data["param_prob"].variables}
    where = {key: slice(start, start + sizes[key]) for key, start in columns.items()}
    integer = np.zeros(len(data["c"]), dtype=bool)
    for one in binaries:
        if one.size:
            integer[where[one.id]] = True
    cones = [one for one in data["param_prob"].constraints if isinstance(one, cp.SOC)]
    each = np.array([one.id for one in cones for _ in range(one.args[0].size)], dtype=np.int64)
    product = np.isin(each, [one.id for one in products])
    a = sp.csr_array(data["A"])
    a.eliminate_zeros()
    return ConicForm(
        cost=np.asarray(data["c"], dtype=float),
        offset=float(inverse[-1][cp.settings.OFFSET]),
        a=a,
        b=np.asarray(data["b"], dtype=float),
        n_zero=int(dims.zero),
        n_nonneg=int(dims.nonneg),
        cone_sizes=np.array(dims.soc, dtype=np.int64),
        integer=integer,
        equal=product | np.isin(each, [one.id for one in equal]),
        product=product,
        columns=where,
    )


def read_back(form: ConicForm, variables: Sequence[cp.Variable], x: Float[np.ndarray, " column"]) -> None:
    """Set the values of cvxpy variables from a point."""
    for one in variables:
        if one.id in form.columns or not one.size:
            where = form.columns.get(one.id, slice(0, 0))
            one.save_value(x[where].reshape(one.shape, order="F"))


def write_in(form: ConicForm, values: dict[cp.Variable, np.ndarray]) -> Float[np.ndarray, " column"]:
    """Return a point with the given values of some variables, NaN elsewhere."""
    x = np.full(form.n, np.nan)
    for one, value in values.items():
        if one.id in form.columns:
            x[form.columns[one.id]] = np.asarray(value, dtype=float).ravel(order="F")
    return x

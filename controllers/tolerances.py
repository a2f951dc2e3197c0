"""Tolerances with their units, common to planning, solving and simulation."""

from __future__ import annotations

# --------------------------------------------------------------------------------------------------------------- plans

POWER_MW = 1e-6
"""a smaller power of a device is the solver's noise: a watt"""
ENERGY_MWH = 1e-6
"""a store that holds no more than this beyond its window is within it"""
USED = 1e-6
"""a device used for a smaller share of its ratings is not used"""
BRANCH_LOSS_MW = 1e-5
"""fictitious losses of a branch; with more the flow is no power flow"""
CONVERTER_LOSS_MW = 1e-6
"""fictitious losses of a converter; with more the device does something else"""
VOLTAGE_PU = 1e-6
"""a smaller violation of a voltage limit is the solver's noise"""
LOADING = 1e-5
"""a smaller violation of a rating, as a share of it, is noise"""
ENERGY_DUE_MWH = 3e-6
"""a smaller violation of an energy due is noise"""
VOLTAGE_AC_PU = 5e-7
"""a voltage of an AC flow that is outside its limits by less is inside"""
LOADING_AC = 5e-6
"""likewise a current of an AC flow, as a share of the rating"""
SAME_VIOLATION = 1e-5
"""violations on the one scale that differ by less are alike: 1e-6 pu of a band of 0.1 pu, 1e-3 % of a rating"""
LIMITS_KEPT = 1e-4
"""violation on the one scale up to which a plan keeps its limits as well as doing nothing does"""
SAME_COST = 1e-7
"""costs that differ by a smaller share are the same"""
FEASIBILITY_TOLERANCES = (1e-6, 2e-5, 5e-4)
"""added to the minimum violation on the one scale, the next where a solver finds no room"""
CONFLICT = 1e-5
"""a constraint that has to give by less, in its own unit, is not in conflict with others"""
ROUNDING = 1e-12
"""what rounding leaves of a value, as a share of it"""

# -------------------------------------------------------------------------------------------------------------- solvers
# Rows are in MW, MWh, pu and currency, as blocks and networks state them.

CONIC_QUICK = (1e-9, 1e-8, 1e4)
"""gap and feasibility tolerance, static regularisation and largest scaling of a row or column of Clarabel without
iterative refinement, which takes half of the time"""
CONIC_QUICK_ALMOST = 1e-8
"""feasibility and gap accepted of it where it cannot get further; what is not that accurate is solved again with it"""
CONIC_ATTEMPTS = (
    (1e-9, 1e-8, 1e4),
    (1e-9, 1e-7, 1e4),
    (1e-9, 1e-6, 1e4),
    (1e-8, 1e-7, 1e8),
    (1e-7, 1e-7, 1e8),
)
"""likewise with iterative refinement; the next entry is tried after numerical trouble"""
LARGEST_COLUMN = 1e4
"""no column of a plan is larger [pu, MW, MWh, currency]"""
CONIC_ALMOST = 1e-7
"""feasibility still accepted where it cannot get further, and a tenth of the gap"""
EXACT = 1e-6
"""by how much a row or a norm of the exact problem may be violated"""
EXACT_PRODUCT = 5e-6
"""by how much twice a squared current of the exact problem may be wrong [pu²]"""
SMOOTHING = (1e-4, 1e-7)
"""ε of the cones of the exact problem in turn, in the unit of the cone"""
FEASIBILITY = 1e-8
"""by how much HiGHS and SCIP may violate a row or cone; SCIP's own 1e-6 lets losses of small branches vanish"""
MIP_FEASIBILITY = 1e-7
"""integrality tolerance of HiGHS"""
WHOLE = 1e-6
"""integrality tolerance of columns that rows determine"""
FIXED = 1e-10
"""bounds closer than this, as a share of them, fix a column"""
ROW = 1e-7
"""a row without free columns may be violated by this much"""
CONE = 1e-9
"""cones violated by less at a point of HiGHS get no cut there; tails that are shorter have no direction"""
DIRECTION = 1e-4
"""tangents whose directions differ by less are one tangent"""
RESIDUE = 1e-6
"""a ray whose product with a block's own columns is larger, relative to its own size, makes no cut"""
RAY = 1e-9
"""entries of a ray, as a share of its largest, and products with it, that are smaller are zero"""
COEFFICIENT = 1e-11
"""smaller coefficients of a cut are left out"""
CERTIFIED_WITH = 0.99
"""confidence of a share that sampled days certify, on one side"""

"""What counts as nothing in a solved problem, in its unit; all blocks and controllers use these."""

from __future__ import annotations

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
VOLTAGE_PU = 3e-6
"""a smaller violation of a voltage limit is the solver's noise"""
LOADING = 1e-4
"""a smaller violation of a rating, as a share of it, is noise"""
ENERGY_DUE_MWH = 3e-6
"""a smaller violation of an energy due is noise"""
ROOMS = (1e-6, 1e-5, 1e-4)
"""added to the minimum violation of a limit, the next where a solver finds no room [pu², MWh]"""

"""The dispatch model: blocks of devices, flows of networks, limits and costs, solved so that a plan is a power flow."""

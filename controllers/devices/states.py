"""States of devices as JSON, for mosaik and for checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gridferry.controllers.devices.device import Device


def states_to_json(devices: Sequence[Device[Any]], states: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Return the states of all devices, by `Device.key`."""
    return {
        device.key: {name: getattr(state, name) for name in device.state_fields}
        for device, state in zip(devices, states, strict=True)
    }


def states_of_json(devices: Sequence[Device[Any]], given: Mapping[str, Any]) -> list[Any]:
    """Return the states that `states_to_json` wrote, in the order of the devices.

    Raises
    ------
    ValueError
        saying which device has no state in it, or one of another form.
    """
    other = sorted(set(given) ^ {device.key for device in devices})
    if other:
        raise ValueError(f"states and devices are not the same: {', '.join(other)}")
    wrong = [device.key for device in devices if set(given[device.key]) != set(device.state_fields)]
    if wrong:
        raise ValueError(f"states of another form: {', '.join(wrong)}")
    return [device.State(**given[device.key]) for device in devices]

"""Simulators in other processes: the same run, ends that are told, and nothing run or read that was not allowed."""

import gc
import socket
import subprocess
import sys
import time
from pathlib import Path

import mosaik
import numpy as np
import pandapower as pp
import pytest
from mosaik_api_v3.connection import RemoteException

from gridferry.networks.catalog import load_network
from gridferry.sim.grid.pandapower_net import net_of_feeder
from gridferry.sim.loop.runner import RunFailedError, run

STEPS, STEP_S = 6, 900


def buses_of(grid):
    return sorted((one for one in grid.children if one.type == "Bus"), key=lambda one: int(one.eid.split("-")[1]))


@pytest.fixture
def remote():
    """Start one of our simulators as a process that waits for a mosaik."""
    processes = []

    def start(module, port, *options, host=None, cwd=None):
        """Start a simulator, and wait until it listens at its port."""
        address = f"{host}:{port}" if host else str(port)
        command = [sys.executable, "-m", f"gridferry.sim.adapters.{module}", address, *options]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=cwd)
        processes.append(process)
        wait_until_listening(process, port, host or "127.0.0.1")
        return process

    yield start
    gc.collect()  # a connection that was left open is reported here, not in whatever test comes later
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_listening(process, port, host):
    """Read the kernel's table of listening sockets: a connection would be taken for mosaik's."""
    needle = f"{socket.inet_aton(host)[::-1].hex().upper()}:{port:04X} 00000000:0000 0A"
    while needle not in Path("/proc/net/tcp").read_text():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)


@pytest.mark.slow
def test_simulators_in_other_processes_give_the_same_run(tmp_path, remote):
    here = run("three_bus", steps=30, out=tmp_path / "here")
    overrides = []
    for name, module in (
        ("grid", "grid"),
        ("agents", "devices"),
        ("controller", "controller"),
        ("forecasts", "forecasts"),
    ):
        port = free_port()
        remote(module, port)
        overrides.append(f'simulators.{name}.connect="127.0.0.1:{port}"')
    there = run("three_bus", steps=30, overrides=overrides, out=tmp_path / "there")
    np.testing.assert_array_equal(here.table("bus")["v_pu"], there.table("bus")["v_pu"])
    np.testing.assert_array_equal(here.table("device")["energy_mwh"], there.table("device")["energy_mwh"])


TRAP = """
import os
with open({mark!r}, "a") as file:
    file.write(f"{{os.getpid()}}\\n")
from gridferry.controllers.idle import Idle

class Mine(Idle):
    pass

def net():
    from gridferry.networks.published import three_bus
    return three_bus()
"""


@pytest.fixture
def trap(tmp_path):
    """A file of code, and a function that says which processes have run it."""
    (tmp_path / "trap.py").write_text(TRAP.format(mark=str(tmp_path / "mark")))

    def ran_in(process):
        mark = tmp_path / "mark"
        return mark.exists() and str(process.pid) in mark.read_text().split()

    return tmp_path / "trap.py", ran_in


def refusal(config, overrides, out, **options):
    with pytest.raises(RunFailedError) as failed:
        run(config, overrides=overrides, steps=2, out=out, **options)
    return str(failed.value)


@pytest.mark.slow
def test_a_remote_grid_takes_no_network_that_was_not_listed_at_its_start(tmp_path, remote, trap):
    code, ran_in = trap
    pp.to_json(net_of_feeder(load_network("three_bus", Path()).feeder)[0], str(tmp_path / "other.json"))
    port = free_port()
    process = remote("grid", port, "--network", f"mine={tmp_path / 'other.json'}", cwd=tmp_path)
    simulators = {"Far": {"connect": f"127.0.0.1:{port}"}}
    with mosaik.World(simulators, skip_greetings=True, configure_logging=False) as world:
        factory = world.start("Far", step_size=STEP_S)
        for spec in (f"{code}:net", "trap:net", str(tmp_path / "other.json"), "simbench:1-LV-rural1--0-sw"):
            with pytest.raises(RemoteException) as refused:
                factory.Grid(network=spec, base_dir=str(tmp_path))
            assert refused.value.remote_type == "InputError"
            assert "there is mine, three_bus, ieee33" in refused.value.remote_msg
        # what was listed, and the catalogue, are still to be had
        assert len(buses_of(factory.Grid(network="mine"))) == len(buses_of(factory.Grid(network="three_bus"))) == 3
    assert not ran_in(process)


@pytest.mark.slow
def test_a_listed_network_goes_by_its_name_in_the_config(tmp_path, remote, trap):
    code, ran_in = trap
    fed = [f"networks.dn1.feeder={code}:net"]
    here = run("three_bus", overrides=fed, steps=2, out=tmp_path / "here")
    port = free_port()
    process = remote("grid", port, "--network", f"dn1={code}:net")
    there = run(
        "three_bus",
        overrides=[*fed, f'simulators.grid.connect="127.0.0.1:{port}"'],
        steps=2,
        out=tmp_path / "there",
    )
    np.testing.assert_array_equal(here.table("bus")["v_pu"], there.table("bus")["v_pu"])
    assert ran_in(process)
    port = free_port()
    process = remote("grid", port)
    message = refusal("three_bus", [*fed, f'simulators.grid.connect="127.0.0.1:{port}"'], tmp_path / "refused")
    assert "no such network listed at the simulator's start; there is three_bus" in message
    assert "--network dn1=FILE" in message
    assert not ran_in(process)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "module"), [("agents", "devices"), ("controller", "controller")])
def test_a_remote_simulator_runs_no_code_and_reads_no_file_that_was_not_allowed(tmp_path, remote, trap, name, module):
    code, ran_in = trap
    (tmp_path / "day.csv").write_text("hour,price\n0,40\n1,50\n2,60\n")
    (tmp_path / "mine.toml").write_text(
        """
extends = "three_bus"
time = { steps = 2, start = 2024-06-20T00:00:00 }
profiles.mine = { file = "day.csv", time = "hour", resample = "previous" }
prices.buy = "mine.price"
controller = { use = "trap.py:Mine" }
networks.dn1.feeder = "trap.py:net"
"""
    )
    port = free_port()
    process = remote(module, port)
    message = refusal(tmp_path / "mine.toml", [f'simulators.{name}.connect="127.0.0.1:{port}"'], tmp_path / "refused")
    assert f'networks[0].feeder = "{code}:net": is code that may not run here; start the simulator with' in message
    requested = f'controller.use = "{code}:Mine": is code that may not run here' in message
    assert requested == (name == "controller")  # agents need no controller
    assert f"{tmp_path / 'day.csv'}: is a file that may not be read here" in message
    assert not ran_in(process)
    port = free_port()
    allow = [f"{code}:net", tmp_path / "day.csv", *([f"{code}:Mine"] if name == "controller" else [])]
    process = remote(module, port, *(f"--allow={one}" for one in allow))
    done = run(
        tmp_path / "mine.toml", overrides=[f'simulators.{name}.connect="127.0.0.1:{port}"'], out=tmp_path / "allowed"
    )
    assert done.summary["steps"] == 2
    assert ran_in(process)


@pytest.mark.slow
def test_a_simulator_that_others_can_reach_says_so_and_one_without_host_is_not_reached(remote):
    port = free_port()
    process = remote("grid", port, host="0.0.0.0")
    message = process.stderr.readline()
    assert f"waiting at 0.0.0.0:{port}: whoever reaches that address can use this simulator" in message
    port = free_port()
    process = remote("grid", port)
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    at = {line[1] for line in table if line[3] == "0A" and line[1].endswith(f":{port:04X}")}
    assert at == {f"0100007F:{port:04X}"}
    process.kill()
    assert process.communicate()[1] == ""


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        ("grid", [":5678"], "is no [HOST:]PORT"),
        ("grid", ["localhost:0"], "is no [HOST:]PORT"),
        ("grid", ["5678", "--network", "gone.json"], "--network: gone.json: no such file"),
        ("devices", ["5678", "--allow", "gone"], "--allow: gone: no such file or folder, and no package.module:name"),
    ],
)
def test_what_is_wrong_on_the_command_line_of_a_simulator_is_said_at_once(tmp_path, module, options, message):
    command = [sys.executable, "-m", f"gridferry.sim.adapters.{module}", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr

"""Net files from elsewhere: whatever they name, nothing of it is run, imported or read."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandapower as pp
import pandas as pd
import pytest
from pandapower.control import ConstControl
from pandapower.timeseries import DFData, OutputWriter

from gridferry.networks.catalog import load_network
from gridferry.networks.faults import InputError

CONST_CONTROL, TABLE = "pandapower.control.controller.const_control", "pandas.core.frame"


def net() -> Any:
    """Two buses, a line, and a load that follows a time series."""
    made = pp.create_empty_network()
    a, b = pp.create_buses(made, 2, 20.0)
    pp.create_ext_grid(made, a)
    pp.create_line_from_parameters(made, a, b, 3.0, 0.2, 0.12, 250, 0.4)
    pp.create_load(made, b, 0.1, 0.02)
    return made


def controlled() -> Any:
    made = net()
    source = DFData(pd.DataFrame({"x": [0.1, 0.9]}))
    ConstControl(made, "load", "p_mw", [0], data_source=source, profile_name=["x"])
    return made


def entry(module: str, cls: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"_module": module, "_class": cls, "_object": content, **more}


def hidden(inner: Any) -> str:
    """JSON in which no underscore stands as such."""
    return json.dumps(inner).replace("_", "\\u005f")


@pytest.fixture
def traps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that leaves a mark when it is imported, and where that mark would be."""
    mark = tmp_path / "mark"
    (tmp_path / "trap.py").write_text(
        f"open({str(mark)!r}, 'w').close()\n"
        "from pandapower.io_utils import JSONSerializableClass\n"
        "class Trap(JSONSerializableClass):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return mark


def reading(folder: Path, **placed: Any) -> str:
    """What is said of a net in which ``placed`` stands beside the tables."""
    document = json.loads(pp.to_json(controlled()))
    document["_object"].update(placed)
    (folder / "net.json").write_text(json.dumps(document))
    with pytest.raises(InputError) as caught:
        load_network("net.json", folder, "case.toml", "networks[0].feeder")
    assert len(caught.value.faults) == 1
    return str(caught.value)


COMMAND = "touch {mark}"


@pytest.mark.parametrize(
    ("placed", "named"),
    [
        (entry("subprocess", "run", COMMAND, shell=True), "subprocess.run"),
        (entry("os", "system", COMMAND), "os.system"),
        (entry("posix", "system", COMMAND), "posix.system"),
        (entry("builtins", "exec", "open({mark!r}, 'w')"), "builtins.exec"),
        (entry("trap", "Trap", "{{}}"), "trap.Trap"),
        (entry("trap", "Trap", {}), "trap.Trap"),
        (entry("trap", "function", "Trap"), "trap.Trap"),
        (entry("numpy.f2py.__main__", "x", ""), "numpy.f2py.__main__"),
        ({"_module": "trap", "_class": "Trap", "content": 1}, "trap.Trap"),
        ([{"deep": [entry("trap", "Trap", {})]}], "trap.Trap"),
        (json.dumps(entry("trap", "Trap", {})), "trap.Trap"),
        (hidden(entry("trap", "Trap", {})), "trap.Trap"),
        (entry("pandapower.auxiliary", "pandapowerNet", json.dumps({"x": entry("trap", "Trap", {})})), "trap.Trap"),
        (entry(CONST_CONTROL, "ConstControl", json.dumps({"data_source": entry("trap", "Trap", {})})), "trap.Trap"),
        (entry(CONST_CONTROL, "ConstControl", hidden({"data_source": entry("trap", "Trap", {})})), "trap.Trap"),
        (entry(CONST_CONTROL, "ConstControl", {"__deepcopy__": 1}), 'the key "__deepcopy__"'),
        (
            entry(TABLE, "DataFrame", json.dumps([{"object": entry("trap", "Trap", {})}]), orient="records"),
            "trap.Trap",
        ),
        (entry(TABLE, "DataFrame", "/etc/secret.json"), "the file /etc/secret.json"),
        (entry("pandas.io.pickle", "function", "read_pickle"), "pandas.io.pickle.read_pickle"),
    ],
)
def test_a_net_that_names_code_of_others_runs_nothing_and_says_so(
    tmp_path: Path, traps: Path, placed: Any, named: str
) -> None:
    text = json.dumps(placed).replace("{mark}", str(traps))
    message = reading(tmp_path, controller_of_mine=json.loads(text))
    assert message.startswith("case.toml: networks[0].feeder: net.json ")
    assert named in message
    assert not traps.exists()
    assert "trap" not in sys.modules


def test_a_module_named_twice_is_looked_at_twice(tmp_path: Path, traps: Path) -> None:
    text = '{"_module": "trap", "_module": "pandapower.auxiliary", "_class": "pandapowerNet", "_object": {}}'
    (tmp_path / "net.json").write_text(text)
    with pytest.raises(InputError, match=r"names trap\.pandapowerNet"):
        load_network("net.json", tmp_path)
    assert not traps.exists()


def test_many_foreign_objects_make_one_message(tmp_path: Path) -> None:
    message = reading(tmp_path, mine=[entry("os", f"f{k}", "") for k in range(9)])
    assert "names os.f0, os.f1, os.f2 and 6 more; a net file may contain objects of pandapower, pandas" in message


def test_a_net_nested_beyond_all_measure_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text('{"x": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(InputError, match="cannot be read as a pandapower net"):
        load_network("net.json", tmp_path)


def test_controllers_output_writers_and_odd_names_of_pandapowers_own_are_read(tmp_path: Path) -> None:
    made = controlled()
    made.bus["name"] = ['{"_pv_module"}', "C:\\users\\{x}_module"]
    OutputWriter(made, log_variables=[("res_bus", "vm_pu")])
    pp.to_json(made, str(tmp_path / "net.json"))
    read = load_network("net.json", tmp_path)
    assert read.feeder.bus_names == tuple(made.bus["name"])
    assert read.feeder.p_load_mw.tolist() == [0.0, 0.1]

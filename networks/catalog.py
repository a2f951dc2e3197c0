"""Catalogue of networks: published feeders by name, files, SimBench codes, and functions that build a net."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gridferry.networks.faults import Fault, InputError, no_such
from gridferry.networks.feeder import Feeder
from gridferry.networks.network import Network
from gridferry.networks.network_spec import PICKLES, NetOptions, names_code
from gridferry.networks.published import published_feeder, three_bus
from gridferry.networks.readers.net_cache import cache_folder
from gridferry.networks.readers.other_formats import FORMATS, network_of_other_format, network_of_simbench
from gridferry.networks.readers.sources import network_of_function, network_of_json, network_of_matpower
from gridferry.networks.readers.spec_error import SpecError

_WAYS = (
    "or give a catalogue name, a pandapower .json or .xlsx, a MATPOWER .m, an OpenDSS .dss, CGMES as .zip or .xml, "
    "simbench:CODE, or package.module:function"
)
_PICKLE = "a pickle can run code when it is read; write the net with pandapower.to_json(net, path)"


@dataclass(frozen=True)
class CatalogueEntry:
    """Entry of the catalogue: a feeder that comes with the package.

    Attributes
    ----------
    description : one line about it
    source : where its figures were published
    build : makes the feeder
    """

    description: str
    source: str
    build: Callable[[], Feeder]


def _published(name: str, description: str, source: str) -> CatalogueEntry:
    return CatalogueEntry(description, source, partial(published_feeder, name))


_DAS_1995 = "D. Das, D. P. Kothari, A. Kalam, Int. J. Electr. Power Energy Syst. 17(5), 1995"

CATALOGUE: dict[str, CatalogueEntry] = {
    "three_bus": CatalogueEntry(
        "mobile-storage case, 16 kV, 3 buses in a row, 3.5 MW",
        "public reproduction of H. H. Abdeltawab, Y. A.-R. I. Mohamed, IEEE Trans. Ind. Electron. 64(9), 2017",
        three_bus,
    ),
    "ieee33": _published(
        "ieee33",
        "33-bus feeder, 12.66 kV, 3.715 MW, 5 tie switches open",
        "M. E. Baran, F. F. Wu, IEEE Trans. Power Delivery 4(2), 1989; MATPOWER case33bw",
    ),
    "ieee69": _published(
        "ieee69",
        "69-bus feeder, 12.66 kV, 3.802 MW, 5 tie switches open",
        "M. E. Baran, F. F. Wu, IEEE Trans. Power Delivery 4(1), 1989; MATPOWER case69",
    ),
    "ieee85": _published(
        "ieee85",
        "85-bus feeder, 11 kV, 2.570 MW, with a load at bus 60 (the variant with the usual 316 kW of losses)",
        f"{_DAS_1995}; MATPOWER case85 before 2020-09-30",
    ),
    "ieee85_v2": _published(
        "ieee85_v2",
        "85-bus feeder, 11 kV, 2.514 MW, without a load at bus 60",
        f"{_DAS_1995}; MATPOWER case85 from 2020-09-30 on",
    ),
}
"""The feeders that come with the package, by name."""


def load_network(
    spec: str,
    base_dir: Path,
    source: str | None = None,
    key: str = "",
    cache_dir: Path | None = None,
    options: NetOptions | None = None,
) -> Network:
    """Read a network.

    Parameters
    ----------
    spec : catalogue name, path of a pandapower ``.json`` or ``.xlsx``, a MATPOWER ``.m``, an OpenDSS ``.dss``, CGMES
        in a ``.zip`` or ``.xml``, ``simbench:CODE``, or ``package.module:function`` (also ``path/file.py:function``)
        returning a pandapower net or a `Feeder`
    base_dir : folder that relative paths start from
    source, key : file and key the spec was given under, for faults about the spec itself; the spec when not given.
        Faults inside a network name its own elements.
    cache_dir : folder of the cache of converted networks; as `cache_folder` has it when not given
    options : how a pandapower net becomes a radial feeder; of no meaning for a `Feeder`

    Raises
    ------
    InputError
        for an unknown name, a file that cannot be read, a package that is missing, and with everything in the net
        that a radial feeder cannot carry.
    """
    read: Callable[[], Network]
    module_or_file, colon, function = spec.rpartition(":")
    if spec in CATALOGUE:
        return Network(CATALOGUE[spec].build())
    if spec.endswith(".json"):
        read = partial(network_of_json, base_dir / spec, options)
    elif spec.lower().endswith(PICKLES):
        read = partial(_refuse, _PICKLE)
    elif spec.lower().endswith(tuple(FORMATS)):
        read = partial(network_of_other_format, base_dir / spec, cache_folder(cache_dir), options)
    elif spec.endswith(".m"):
        read = partial(network_of_matpower, base_dir / spec, options)
    elif names_code(spec):
        read = partial(network_of_function, module_or_file, function, base_dir, options)
    elif colon:
        read = partial(network_of_simbench, function, cache_folder(cache_dir), options)
    else:
        read = partial(_refuse, f"{no_such('network', spec, CATALOGUE)}; {_WAYS}")
    try:
        return read()
    except SpecError as error:
        place = (spec if source is None else source, key)
        raise InputError(Fault(*place, str(error))) from error


def _refuse(message: str) -> Network:
    raise SpecError(message)

"""Run the benchmarks: ``python -m benchmarks [NAME ...] [--smoke]``."""

from __future__ import annotations

import argparse
import importlib

NAMES = ("loop", "mess", "mvdc")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which to run: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that they run; figures mean nothing")
    options = parser.parse_args()
    for name in options.names or NAMES:
        if name not in NAMES:
            parser.error(f"no such benchmark {name!r}; there is {', '.join(NAMES)}")
        importlib.import_module(f"benchmarks.{name}").main(smoke=options.smoke)


if __name__ == "__main__":
    main()

"""Run the benchmarks: ``python -m benchmarks [NAME ...] [--smoke]``; ``joint`` also by part."""

from __future__ import annotations

import argparse
import importlib
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line has it, before numpy

NAMES = (
    "startup",
    "loop",
    "ac_flows",
    "mess",
    "mvdc",
    "joint",
    "two_stage",
    "time_limits",
    "exact_finish",
    "sop",
    "joint_reliability",
    "acceptance",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which to run: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that they run; figures mean nothing")
    parser.add_argument(
        "--part", action="append", help="of joint, only this: 2dn, 3dn, certify or loop; may be given again"
    )
    parser.add_argument("--steps", type=int, help="of joint, steps of the closed loops that are timed")
    options = parser.parse_args()
    of_joint = {"parts": options.part, "steps": options.steps}
    of_joint = {key: value for key, value in of_joint.items() if value is not None}
    names = options.names or NAMES
    for name in names:
        if name not in NAMES:
            parser.error(f"no such benchmark {name!r}; there is {', '.join(NAMES)}")
    if of_joint and "joint" not in names:
        parser.error("--part and --steps are for joint")
    for name in names:
        module = importlib.import_module(f"benchmarks.{name}")
        wrong = [one for one in options.part or () if name == "joint" and one not in module.PARTS]
        if wrong:
            parser.error(f"joint has no part {wrong[0]!r}; there is {', '.join(module.PARTS)}")
        module.main(smoke=options.smoke, **(of_joint if name == "joint" else {}))


if __name__ == "__main__":
    main()

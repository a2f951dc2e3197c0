"""The command ``gridferry``: arguments in, exit codes out. Each command lives in `gridferry.sim.commands`.

Exit codes: 0 success; 1 a negative answer; 2 bad input; 3 the run failed, was interrupted, or power flow diverged in a
step; 4 a defect of ours.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gridferry.networks.faults import InputError
from gridferry.sim.commands.listing import LISTS
from gridferry.sim.commands.new_app import EXAMPLE, new_app
from gridferry.sim.commands.output import only_json
from gridferry.sim.exit_codes import BAD_INPUT, DEFECT, DONE, FAILED

# networks of tens of buses gain nothing from threads inside a matrix product, and lose much when the cores are busy;
# numpy reads this when it is first imported, which the commands do
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

app = typer.Typer(
    name="gridferry",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog=EXAMPLE + "gridferry run three_bus --controller idle --steps 4 --out runs/a",
)
app.add_typer(new_app, name="new")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")]


_at_end = ExitStack()
"""what a command leaves behind when it ends"""


def _refuse_code(wanted: bool) -> bool:
    if wanted:
        from gridferry.sim.config.named_code import without_code

        _at_end.enter_context(without_code())
    return wanted


NoCode = Annotated[
    bool,
    typer.Option(
        "--no-code",
        callback=_refuse_code,
        help="Refuse code of others, whoever names it, as for a config from elsewhere.",
    ),
]


def _completed(what: str) -> Callable[[str], list[str]]:
    """Names that an argument can be completed with."""

    def complete(incomplete: str) -> list[str]:
        from gridferry.sim.commands.listing import names_of

        return [one for one in names_of(what) if one.startswith(incomplete)]

    return complete


ConfigArgument = Annotated[
    str,
    typer.Argument(
        metavar="CONFIG",
        help="A config file, or the name of a built-in config.",
        autocompletion=_completed("configs"),
    ),
]


def _version(requested: bool) -> bool:
    if requested:
        from importlib.metadata import version

        print(f"gridferry {version('gridferry')}")
        raise typer.Exit(DONE)
    return requested


@app.callback()
def gridferry(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Co-simulate mobile storage, batteries and MVDC links in closed loop, and check plans by AC power flow."""


@app.command(epilog=EXAMPLE + "gridferry run three_bus --controller idle --steps 4 --out runs/a")
def run(
    config: ConfigArgument,
    controller: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="Use another controller.", autocompletion=_completed("controllers")),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a value, such as trucks.T1.soc_min=0.3; repeatable."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of all random numbers.")] = None,
    steps: Annotated[int | None, typer.Option(help="Simulate only the first steps.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Run directory.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")] = False,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="With --resume: continue although files or versions have changed.")
    ] = False,
    regret: Annotated[
        bool, typer.Option("--regret", help="Run again with foresight, and print the cost difference.")
    ] = False,
    no_code: NoCode = False,
    as_json: Json = False,
) -> None:
    """Run a config in closed loop, and compare the plans with the AC grid."""
    from gridferry.sim.commands.run import run_command

    raise typer.Exit(
        run_command(
            config, controller, settings or [], seed, steps, out, resume, overwrite, accept_changes, regret, as_json
        )
    )


@app.command(epilog=EXAMPLE + "gridferry validate runs/a/plan.csv three_bus --steps 4 --ignore-shortfall")
def validate(
    plan: Annotated[
        Path,
        typer.Argument(
            metavar="PLAN.csv", help="Columns step,device,p_mw,q_mvar,position,time,step_s, or one a device."
        ),
    ],
    config: ConfigArgument,
    steps: Annotated[int | None, typer.Option(help="Replay only the first steps.")] = None,
    hold: Annotated[
        bool, typer.Option("--hold", help="Play a plan of longer steps, each as long as it lasts.")
    ] = False,
    unit: Annotated[str, typer.Option(help="Unit of its powers: MW, kW or W.")] = "MW",
    ignore_shortfall: Annotated[
        bool, typer.Option("--ignore-shortfall", help="Exit code of the grid's verdict alone.")
    ] = False,
    samples: Annotated[
        int,
        typer.Option(metavar="N", min=0, max=1_000_000, help="Evaluate it on N sampled days, too."),
    ] = 0,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the run there.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in --out.")] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a value of the config; repeatable."),
    ] = None,
    no_code: NoCode = False,
    as_json: Json = False,
) -> None:
    """Replay a schedule; exit code 0 if it is feasible and executed, 1 if not executed as planned, or infeasible."""
    from gridferry.sim.commands.validate import validate_command

    raise typer.Exit(
        validate_command(
            plan, config, settings or [], steps, hold, ignore_shortfall, out, overwrite, as_json, samples, unit
        )
    )


@app.command(epilog=EXAMPLE + "gridferry study mess_published")
def study(
    study: Annotated[
        str,
        typer.Argument(
            metavar="STUDY.toml",
            help="A study file, or the name of a built-in study.",
            autocompletion=_completed("studies"),
        ),
    ],
    workers: Annotated[int, typer.Option(min=1, help="Number of worker processes.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Repeat closed-loop runs that exist.")] = False,
    page: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page of it, too.")] = None,
    no_code: NoCode = False,
    as_json: Json = False,
) -> None:
    """Compare variants of a config: plans evaluated by AC Monte Carlo, or closed-loop runs by seed."""
    from gridferry.sim.commands.study import study_command

    raise typer.Exit(study_command(study, workers, overwrite, as_json, page))


@app.command(epilog=EXAMPLE + "gridferry compare runs/a runs/a")
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN|STUDY...", help="Run directories, or those of studies.")],
    mean: Annotated[bool, typer.Option("--mean", help="Average runs that differ only in their seed.")] = False,
    page: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page of them, too.")] = None,
    as_json: Json = False,
) -> None:
    """Compare runs: one column per run, or the means over seeds; exit code 1 if they are not alike."""
    from gridferry.sim.commands.compare import compare_command

    raise typer.Exit(compare_command(runs, mean, as_json, page))


@app.command(epilog=EXAMPLE + "gridferry report runs/a")
def report(
    run_directory: Annotated[Path, typer.Argument(metavar="RUN|STUDY", help="A run directory, or that of a study.")],
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
) -> None:
    """Write a self-contained HTML page of a run or a study, report.html in its directory."""
    from gridferry.sim.commands.report import report_command

    raise typer.Exit(report_command(run_directory, show))


@app.command("list", epilog=EXAMPLE + "gridferry list configs")
def list_(
    what: Annotated[
        str, typer.Argument(metavar="|".join(LISTS), help="What to list.", autocompletion=_completed("lists"))
    ],
    as_json: Json = False,
) -> None:
    """List networks, controllers, configs, studies or columns of results."""
    from gridferry.sim.commands.listing import list_command

    raise typer.Exit(list_command(what, as_json))


@app.command(epilog=EXAMPLE + "gridferry check three_bus")
def check(
    what: Annotated[
        str,
        typer.Argument(metavar="CONFIG|CONTROLLER|DEVICE", help="A config, or a controller or device as in `use`."),
    ],
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.0, max=1e6, help="Longest time for one promise of a class.")
    ] = 120.0,
    no_code: NoCode = False,
    as_json: Json = False,
) -> None:
    """Check a config, a controller or a kind of device; list all faults with file, key and way out."""
    from gridferry.sim.commands.check import check_command

    raise typer.Exit(check_command(what, timeout, as_json))


@app.command(epilog=EXAMPLE + "gridferry schema")
def schema(
    config: Annotated[
        str | None, typer.Argument(metavar="[CONFIG]", help="A config whose own kinds of devices are included.")
    ] = None,
    no_code: NoCode = False,
) -> None:
    """Print the JSON schema of the config, for editors."""
    from gridferry.sim.config.json_schema import config_schema

    print(json.dumps(config_schema(config), indent=2))


@app.command(epilog=EXAMPLE + "gridferry export runs/a --format parquet")
def export(
    run_directory: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    to: Annotated[str, typer.Option("--format", metavar="csv|parquet|hdf5|excel|netcdf", help="File format.")] = "csv",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="RUN/export when not given.")] = None,
    for_spreadsheets: Annotated[
        bool, typer.Option("--for-spreadsheets", help="Put an apostrophe before texts that would be formulas; csv.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Export the tables of a run."""
    from gridferry.sim.commands.export import export_command

    raise typer.Exit(export_command(run_directory, to, out, for_spreadsheets, as_json))


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its exit code; bad input gives a message, never a traceback."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        with _at_end, only_json() if "--json" in given else nullcontext():
            app(given)
    except OSError as error:
        # a full disk, a folder that may not be written: nothing in here is wrong
        Console(stderr=True, soft_wrap=True).print(f"{error.filename or 'system'}: {error.strerror}", markup=False)
        sys.exit(FAILED)
    except InputError as error:
        errors = Console(stderr=True, highlight=False, soft_wrap=True)
        for fault in error.faults:
            errors.print(str(fault), markup=False)
        if len(error.faults) > 1:
            errors.print(f"{len(error.faults)} faults", markup=False)
        sys.exit(BAD_INPUT)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        _report_defect(error)
        sys.exit(DEFECT)


def _report_defect(error: BaseException) -> None:
    """Print an unexpected exception in one line, with the file of its traceback."""
    from gridferry.sim.loop.defects import error_in_one_line, keep_traceback

    # of a run it is in its directory already
    kept = getattr(error, "traceback", None)
    message = error_in_one_line(error) if kept is None else str(error)
    line = f"{message}: a defect of GridFerry; please report it with {kept or keep_traceback(error)}"
    Console(stderr=True, highlight=False, soft_wrap=True).print(line, markup=False)


if __name__ == "__main__":
    main()

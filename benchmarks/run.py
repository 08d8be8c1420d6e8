"""Measure everything, side by side on this machine: one run, one table, build/bench.json.

Rounds are interleaved: every measure once, then every measure again, so that what the
machine does meanwhile meets all of them. The exit code is 1 if a measure failed its own
check; a figure that falls short of its target is reported as it is.
"""

import argparse
import os
import signal
import sys
import time

from rich.console import Console

from actors.errors import ThornbackError
from benchmarks import machine, measures, report
from benchmarks.bed import BUILD, Bed, BenchRuns, opened
from benchmarks.figures import Figure, Measure, Results
from benchmarks.sizes import FULL, QUICK, NotAsExpected

CALIBRATION = "calibration_ns"
#: What a table needs that goes to a file.
FILE_WIDTH = 150

console = Console(highlight=False, width=None if sys.stdout.isatty() else FILE_WIDTH)


def _options() -> argparse.ArgumentParser:
    keys = [figure.key for measure in measures.ALL for figure in measure.figures]
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description=(__doc__ or "").partition("\n")[0]
    )
    options.add_argument("--rounds", type=int, default=3, metavar="N", help="default: 3")
    options.add_argument(
        "--only", nargs="+", choices=keys, metavar="KEY", help=f"some of {', '.join(keys)}"
    )
    options.add_argument(
        "--quick", action="store_true", help="small sizes, to try it out: no figures to keep"
    )
    return options


def main() -> int:
    options = _options()
    arguments = options.parse_args()
    if arguments.rounds < 1:
        options.error("--rounds: at least 1")
    keys = frozenset(arguments.only or [f.key for m in measures.ALL for f in m.figures])
    _interruptible()
    results = Results()
    sizes = QUICK if arguments.quick else FULL
    began_s, load = time.monotonic(), os.getloadavg()[0]
    with opened(sizes) as bed:
        facts = machine.facts(bed.url)
        for number in range(arguments.rounds):
            console.print(f"[bold]round {number + 1} of {arguments.rounds}[/]")
            results.add({CALIBRATION: machine.calibration_ns()})
            for measure in measures.ALL:
                if measure.once and number:
                    continue
                _measure(bed, measure, keys, results)
    figures = [CALIBRATED, *(f for m in measures.ALL for f in m.figures if f.key in keys)]
    facts |= {
        "quick": arguments.quick,
        "rounds": arguments.rounds,
        "load_before": round(load, 2),
        "seconds": round(time.monotonic() - began_s),
    }
    title = f"{arguments.rounds} runs each, on {facts['cpu_count']} processors, Python "
    title += f"{facts['python']}, Ray {facts['ray']}, PostgreSQL {facts['postgres']}"
    if arguments.quick:
        title = f"QUICK: small sizes, no figures to keep. {title}"
    report.show(console, figures, results, sizes, title)
    report.write(BUILD / "bench.json", report.flat(figures, results, sizes, facts))
    console.print("build/bench.json has the same")
    return 1 if results.failures else 0


CALIBRATED = Figure(key=CALIBRATION, input="one turn of a fixed loop in pure Python", at_most=True)


def _measure(bed: Bed, measure: Measure, keys: frozenset[str], results: Results) -> None:
    """One run of a measure; one that failed is not run again."""
    wanted = measure.wanted(keys) - results.failures.keys()
    if not wanted:
        return
    began_s = time.monotonic()
    try:
        measured = measure.run(bed, wanted)
    except Exception as error:  # whatever it is, the other measures still count
        results.failures |= dict.fromkeys(wanted, f"{type(error).__name__}: {error}")
        console.print(f"  [red]FAILED[/] {', '.join(sorted(wanted))}: {error}")
        return
    results.add(measured)
    for figure in measure.figures:
        if figure.key in measured:
            console.print(f"  {figure.key:<28} {report.shown(measured[figure.key]):>12}")
    console.print(f"  [dim]in {time.monotonic() - began_s:.0f} s, start and end included[/]")


def _interruptible() -> None:
    """Ctrl-C and SIGTERM end the bench once; stopping what it started is not interrupted."""

    def interrupted(*_: object) -> None:
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.SIG_IGN)
        raise KeyboardInterrupt

    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, interrupted)


if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:
        console.print("interrupted: everything is stopped, build/bench.json is as it was")
        code = 130
    except (BenchRuns, NotAsExpected, ThornbackError) as error:
        console.print(f"[red]error[/]: {error}")
        code = 2
    sys.exit(code)

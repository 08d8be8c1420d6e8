"""Serve the metrics of the processes of this machine, where the directory runs on another one.

The directory's exporter shows those of its own machine. This one is for each of the others: it runs
until it is ended, and shows what hosts there count, also after the next launch.
"""

import argparse
import signal
from pathlib import Path

from jobs.terminal import run
from runtime.settings.settings import Settings
from runtime.telemetry.exporter import Exporter, NewestFolder


def main() -> int:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--config", type=Path, help="settings file")
    settings = Settings.load(options.parse_args().config)
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before there is a thread
    newest = NewestFolder(settings.actor_system.namespace)
    exporter = Exporter(newest, settings.metrics.host, settings.metrics.port)
    signal.sigwait(ends)
    exporter.close()
    return 0


if __name__ == "__main__":
    run(main)

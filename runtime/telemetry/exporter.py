"""The exporter: serves the metrics of every process over HTTP."""

import errno
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import prometheus_client
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from actors.errors import ThornbackError
from runtime.telemetry.metrics import lives
from runtime.telemetry.totals import whose_totals


class MetricsPortTaken(ThornbackError):
    """The metrics port is in use by something else."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(host, port, reason)
        self.host, self.port, self.reason = host, port, reason

    def __str__(self) -> str:
        return (
            f"the metrics port {self.host}:{self.port} cannot be opened ({self.reason}): "
            "choose another with metrics.port, or 0 for none"
        )


class Exporter:
    """Serves metrics over HTTP: of all who count into the folder `source`, or of a collector."""

    def __init__(self, source: Path | Collector, host: str, port: int) -> None:
        registry = CollectorRegistry()
        if isinstance(source, Path):
            registry.register(OfFolder(source))
        else:
            registry.register(source)
        try:
            self._server, self._thread = prometheus_client.start_http_server(
                port, host, registry=registry
            )
        except OSError as error:
            reason = "in use" if error.errno == errno.EADDRINUSE else str(error)
            raise MetricsPortTaken(host, port, reason) from error

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class OfFolder(Collector):
    """The metrics of who counts into one folder. What was counted stays; how things are, and what
    the log has, is shown of processes that live: one may have moved, and its successor says it on
    another machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        merge: Any = MultiProcessCollector.merge
        files = sorted(self._folder.glob("*.db"))
        found: Iterable[Metric] = merge([str(file) for file in files if _shown(file)])
        return found


def _shown(file: Path) -> bool:
    whose = whose_totals(file)
    if file.name.startswith("gauge_"):
        whose = file.stem.split("_", 2)[2]
    return whose is None or lives(file.parent, whose)


class NewestFolder(Collector):
    """The metrics of the processes of this machine, for a program that is none of them: of the
    system of this namespace that was launched last. Nothing where none was launched yet."""

    def __init__(self, namespace: str) -> None:
        self._folders = f"{_folder_name(namespace)}*"

    def collect(self) -> Iterable[Metric]:
        folders = [*Path(tempfile.gettempdir()).glob(self._folders)]
        if not folders:
            return []
        newest = max(folders, key=lambda folder: folder.stat().st_mtime_ns)
        return OfFolder(newest).collect()


def _folder_name(namespace: str) -> str:
    return f"thornback-metrics-{namespace}-"


def fresh_folder(namespace: str) -> str:
    """The name of a folder for the counters of a system that is being launched. Whoever
    counts first on a machine makes it there."""
    return f"{_folder_name(namespace)}{secrets.token_hex(8)}"


def folder_here(name: str) -> Path:
    """Where on this machine a folder of that name is; one with a path is where that says."""
    return Path(tempfile.gettempdir()) / name


def remove_folder(folder: Path) -> None:
    """The system is at its end: nobody counts any more."""
    shutil.rmtree(folder, ignore_errors=True)

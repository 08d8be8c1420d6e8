"""The exporter: serves the metrics of every process over HTTP."""

import errno
import secrets
import shutil
import tempfile
from pathlib import Path

import prometheus_client
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from actors.errors import ThornbackError


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
    """Serves the metrics of every process that counts into `folder`, over HTTP."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
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


def fresh_folder(namespace: str) -> Path:
    """The name of a folder for the counters of a system that is being launched. Whoever
    counts first makes it."""
    return Path(tempfile.gettempdir()) / f"thornback-metrics-{namespace}-{secrets.token_hex(8)}"


def remove_folder(folder: Path) -> None:
    """The system is at its end: nobody counts any more."""
    shutil.rmtree(folder, ignore_errors=True)

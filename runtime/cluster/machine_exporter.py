"""The exporter of one machine: shows what the processes of a system count there."""

from pathlib import Path

from runtime.process.process import Process
from runtime.process.world import World
from runtime.telemetry.exporter import Exporter, folder_here
from runtime.topology.status import ExporterFacts


class MachineExporter(Process):
    """Named `exporter-<machine>`. Whoever counts on that machine counts into files; this one only
    reads them, so it may be killed at any time, and shows all of it when it is back."""

    _exporter: Exporter | None = None  #: from its start on

    def __init__(
        self,
        name: str,
        settings_json: str,
        metrics_folder: str | None,
        *,
        world: World | None = None,
    ) -> None:
        super().__init__(name, settings_json, metrics_folder, world=world)
        self._folder: Path = folder_here(metrics_folder or "")

    async def start(self) -> None:
        """Begin to listen. Raises MetricsPortTaken."""
        settings = self.settings.metrics
        self._exporter = Exporter(self._folder, settings.host, settings.port)

    def close(self) -> None:
        super().close()
        if self._exporter is not None:
            self._exporter.close()

    async def facts(self) -> ExporterFacts | None:
        if not self._started:
            return None
        settings = self.settings.metrics
        return ExporterFacts(address=f"http://{settings.host}:{settings.port}/metrics")

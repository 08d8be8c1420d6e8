"""The metrics of a system, as its directory serves them: a port to open, a folder to remove."""

import asyncio
from collections.abc import Callable

from runtime.settings.sections import MetricsSettings
from runtime.telemetry.exporter import Exporter, MetricsPortTaken, folder_here, remove_folder


class MetricsKeeper:
    """Opens the exporter of a system, whose processes count into `folder`; None: nothing counts.
    Where each machine has one of its own (metrics.labels), the directory has none."""

    #: Between two tries at a port that somebody else has, who does not say when he is done.
    AGAIN_S = 1.0

    def __init__(self, folder: str | None, settings: MetricsSettings) -> None:
        self._folder = folder_here(folder) if folder else None
        self._settings = settings
        self._exporter: Exporter | None = None
        self.trouble: str | None = None  #: why there is no exporter, though there should be

    @property
    def begun(self) -> bool:
        """Is it open, or was it tried in vain?"""
        return self._exporter is not None or self.trouble is not None

    def open(self) -> None:
        """Serve the metrics, if there are any. Raises MetricsPortTaken."""
        here = self._settings.port and not self._settings.labels
        if self._exporter is None and self._folder is not None and here:
            self._exporter = Exporter(self._folder, self._settings.host, self._settings.port)
        self.trouble = None

    async def open_when_free(self, given_up: Callable[[], bool]) -> None:
        """Serve them as soon as the port is free. Who runs already is not kept from it by a port
        that somebody else has."""
        opened = False
        while not given_up() and not opened:
            try:
                self.open()
                opened = True
            except MetricsPortTaken as error:
                self.trouble = str(error)
                await asyncio.sleep(self.AGAIN_S)

    def close(self) -> None:
        """Serve them no more."""
        if self._exporter is not None:
            self._exporter.close()

    def remove(self) -> None:
        """All have ended that counted: the folder goes."""
        if self._folder is not None:
            remove_folder(self._folder)

"""A real Prometheus, as Debian has it, that scrapes machines."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.place import free_port

TOOLS = ("prometheus", "promtool")
ANSWER_S = 30.0


def missing() -> str | None:
    """What is not installed; None where all is."""
    away = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"there is no {' and no '.join(away)} (Debian: prometheus)" if away else None


class Prometheus:
    """Answers what it has scraped. It runs where its user does."""

    def __init__(self, address: str) -> None:
        self._address = address

    def sums(self, metric: str, *by: str) -> dict[str, int]:
        """The sum over all that is scraped, by the values of labels, or under "" alone."""
        grouped = f"sum by ({', '.join(by)}) ({metric})"
        query = urllib.parse.urlencode({"query": grouped})
        asked = f"{self._address}/api/v1/query?{query}"
        with urllib.request.urlopen(asked, timeout=ANSWER_S) as answer:
            found = json.load(answer)["data"]["result"]
        return {" ".join(each["metric"].values()): int(each["value"][1]) for each in found}

    def sum(self, metric: str) -> int:
        """The sum over all that is scraped."""
        return self.sums(metric).get("", 0)


@contextmanager
def prometheus(folder: Path, targets: Sequence[str]) -> Iterator[Prometheus]:
    """One that scrapes these addresses every two seconds."""
    configured = folder / "prometheus.json"  # which is YAML, too
    configured.write_text(
        json.dumps({
            "global": {"scrape_interval": "2s", "scrape_timeout": "2s"},
            "scrape_configs": [
                {"job_name": "thornback", "static_configs": [{"targets": list(targets)}]}
            ],
        })
    )  # fmt: skip
    address = f"127.0.0.1:{free_port()}"
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={configured}", f"--web.listen-address={address}",
             f"--storage.tsdb.path={folder / 'prometheus'}"],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield Prometheus(f"http://{address}")
    finally:
        process.terminate()
        process.wait()


def problems_of(metrics: str) -> str:
    """What promtool says against metrics as they are scraped."""
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return checked.stdout or ("" if checked.returncode == 0 else f"exit {checked.returncode}")

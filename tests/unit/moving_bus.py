"""A bus that moves between two machines, which are two temporary folders here, and back.

Prints, as JSON, what is shown on its machine each time. A program of its own: whoever counts into
files does so for the whole process.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from runtime.partition.bus import Bus
from runtime.telemetry.exporter import OfFolder, folder_here
from runtime.wire.commits import pack_commit
from tests.contracts.appending import made_event
from tests.unit.feeding import Partition
from tests.virtual_time import virtual_time

TOTALS = ("events_published_total", "events_processed_total")
#: Where it is, and how many events there are meanwhile.
STAYS = (("first", 3), ("second", 2), ("first", 4))


@virtual_time
async def move(folder: Path) -> None:
    partition = Partition()
    shown: list[dict[str, float]] = []
    for machine, events in STAYS:
        tempfile.tempdir = str(folder / machine)
        bus = Bus("bus", partition.settings.model_dump_json(), "launch", world=partition.world)
        if not shown:
            await bus.ready()  # later ones begin when there is something that they have missed
        made = [
            await partition.append(made_event("a", 10 * len(shown) + number))
            for number in range(1, events + 1)
        ]
        for one in made[:-1]:
            await bus.publish(pack_commit(one))
        await asyncio.sleep(2 * Bus.LOOK_S)  # it looks for the last one, and saves
        shown.append({name: total(folder_here("launch"), name) for name in TOTALS})
        bus.close()
    print(json.dumps(shown))


def total(folder: Path, name: str) -> float:
    """The sum over all labels."""
    found = (sample for metric in OfFolder(folder).collect() for sample in metric.samples)
    return sum(sample.value for sample in found if sample.name == name)


if __name__ == "__main__":
    move(Path(sys.argv[1]))

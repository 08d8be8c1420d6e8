"""What PostgreSQL keeps of the counts of the log."""

import json

from store.event_store import Tallied
from store.postgres.connections import Connections
from store.postgres.queries import QUERIES


class Tallies:
    """The table `tallies`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def open(self, launch: str) -> Tallied:
        """The tally of a launch, as it was saved last, or a new one from the head on."""
        [(through, by_type, by_node)] = await self._connections.fetch(QUERIES["open_tally"], launch)
        return Tallied(
            launch=launch,
            through=through,
            by_type=json.loads(by_type),
            by_node=json.loads(by_node),
        )

    async def save(self, tallied: Tallied) -> None:
        """Keep it, unless what is kept reaches as far, or is of a later launch."""
        await self._connections.fetch(
            QUERIES["save_tally"],
            tallied.launch,
            tallied.through,
            json.dumps(dict(tallied.by_type)),
            json.dumps(dict(tallied.by_node)),
        )

"""The writer: the Ray actor around the group commit of store/group_commit.py.

It commits what hosts append, acknowledges them, and hands each commit to the bus. The
bus is never waited for: while it is away commits go on, and afterwards it learns where
the log stands and its subscribers read the rest there.
"""

import asyncio
import logging
from array import array
from collections import Counter, deque
from typing import Any

from ray.exceptions import RayError

from actors.errors import ThornbackError
from runtime.process.process import Process
from runtime.process.world import Calls, World
from runtime.telemetry.metrics import WriterMetrics
from runtime.topology.names import BUS_ACTOR
from runtime.topology.status import WriterFacts
from runtime.wire.commits import pack_acknowledgement, pack_commit, unpack_append
from runtime.wire.error_codec import encode_error
from store.appends import Commit, nothing_after
from store.errors import AppendRefused, StaleEpoch, StoreUnavailable
from store.event_store import EventStore
from store.group_commit import GroupCommit
from store.memory import MemoryEventStore
from store.rows.layout import EncodedRows

logger = logging.getLogger("thornback.writer")


class WriterActor(Process):
    """Named `writer`; there is one a database, which the epoch fence sees to."""

    SERVES = ("append",)
    #: Commits kept for a bus that is away; beyond it only the log's head is told.
    MAX_UNPUBLISHED = 64
    #: And of so many bytes, unless it is one commit. A call to the bus has no more either.
    UNPUBLISHED_BYTES = 64 * 1024 * 1024
    PAUSE_S = 0.2

    def __init__(
        self,
        name: str,
        settings_json: str,
        metrics_folder: str | None,
        *,
        world: World | None = None,
    ) -> None:
        super().__init__(name, settings_json, metrics_folder, world=world)
        self._counts = WriterMetrics(self.metrics)
        self._memory = MemoryEventStore()
        self._unpublished: deque[Commit] = deque()
        self._to_publish = asyncio.Event()
        self._published = asyncio.Event()
        self._bus_knows = -1  #: up to which position the bus was told
        self._bus: Calls | None = None
        self._replaced: StaleEpoch | None = None

    async def start(self) -> None:
        memory = self.settings.event_store.type == "memory"
        store: EventStore = self._memory if memory else await self.world.open_store(self.settings)
        self._commits = GroupCommit(
            store,
            batch_size=self.settings.event_store.batch_size,
            publish=self._publish,
            now_us=self.world.now_us,
            # Half of what an ask waits: its caller then hears of the store, not of time.
            patience_s=self.settings.actor_system.actor_timeout_ms / 2000,
        )
        try:
            await self._commits.open(self.world.holder(self.settings))
        except BaseException:
            await store.close()
            raise
        self.must_live(self._run(store))
        self.must_live(self._publish_all())
        # Whatever an earlier incarnation committed and did not get to publish.
        self._owe(nothing_after(self._commits.position))

    async def append(self, packed: bytes) -> bytes:
        """Commit a host's rows (wire/commits.py); the acknowledgement or a refusal."""
        try:
            await self._ensure_open()
            done = await self._commits.append(unpack_append(packed))
        except (AppendRefused, StoreUnavailable) as error:
            self._counts.refused(type(error).__name__)
            return pack_acknowledgement(encode_error(error))
        return pack_acknowledgement(done)

    async def _ensure_open(self) -> None:
        """Raises StoreUnavailable where this writer cannot commit, whatever the reason."""
        try:
            await self.ensure_started()
        except StoreUnavailable:
            raise
        except ThornbackError as error:
            raise StoreUnavailable("the writer", str(error)) from error
        if self._replaced:
            raise StoreUnavailable("the log", str(self._replaced))

    async def drain(self) -> int:
        """Wait until all that has arrived by now is committed and the bus has it, or knows of it;
        up to which position that is. Hosts go on as long as they live, and so does this writer."""
        await self.ensure_started()
        await asyncio.gather(self._commits.wait_drained(), self.wait_flushed())
        position = self._commits.position
        while self._bus_knows < position:
            self._published.clear()
            await self._published.wait()
        return position

    async def in_store(self, method: str, arguments: Any, named: Any) -> Any:
        """The memory store, for the other processes (event_store.type = "memory")."""
        await self.ensure_started()
        return await getattr(self._memory, method)(*arguments, **named)

    async def facts(self) -> WriterFacts | None:
        if not self._started:
            return None
        return WriterFacts(position=self._commits.position, backlog=self._commits.backlog)

    async def _run(self, store: EventStore) -> None:
        try:
            await self._commits.run()
        except StaleEpoch as replaced:
            self._replaced = replaced  # at once: nobody commits any more what comes now
            logger.error("another writer took over the log: this one is done")
            await self.outlive_fence(store, replaced)

    def _publish(self, commit: Commit) -> None:
        self._counts.committed()
        self._owe(commit)

    def _owe(self, commit: Commit) -> None:
        """The bus is to have it."""
        self._unpublished.append(commit)
        if len(self._unpublished) > self.MAX_UNPUBLISHED or self._too_large():
            last = self._unpublished[-1]
            self._unpublished.clear()
            self._unpublished.append(nothing_after(_last_position(last)))
        self._to_publish.set()

    def _too_large(self) -> bool:
        size = sum(len(commit.rows.data) for commit in self._unpublished)
        return len(self._unpublished) > 1 and size > self.UNPUBLISHED_BYTES

    async def _publish_all(self) -> None:
        """One call after another: the bus then never has to put commits in order."""
        while True:
            await self._to_publish.wait()
            self._to_publish.clear()
            # In the turn of the loop in which the acknowledgements go, behind them.
            while self._unpublished:
                handed = list(self._unpublished)
                if await self._hand_to_bus(_joined(handed)):
                    while self._unpublished and self._unpublished[0] in handed:
                        self._unpublished.popleft()
                    self._bus_knows = _last_position(handed[-1])
                    self._published.set()
                else:
                    await asyncio.sleep(self.PAUSE_S)  # Ray does not say when an actor is back

    async def _hand_to_bus(self, commit: Commit) -> bool:
        try:
            if self._bus is None:
                self._bus = await self.world.caller(BUS_ACTOR)
            await self._bus.call("publish", pack_commit(commit))
        except (RayError, ConnectionError, ValueError) as error:
            logger.warning("the bus is away: %s", type(error).__name__)
            return False
        return True


def _last_position(commit: Commit) -> int:
    return commit.first_position + len(commit.rows) - 1


def _joined(commits: list[Commit]) -> Commit:
    """Commits that follow one another, as one."""
    if len(commits) == 1:
        return commits[0]
    lengths = array("I")
    types: Counter[str] = Counter()
    nodes: Counter[str] = Counter()
    for commit in commits:
        lengths.extend(commit.rows.lengths)
        types.update(commit.types)
        nodes.update(commit.nodes)
    data = b"".join(commit.rows.data for commit in commits)
    return Commit(
        first_position=commits[0].first_position,
        rows=EncodedRows(data, lengths),
        types=types,
        nodes=nodes,
    )

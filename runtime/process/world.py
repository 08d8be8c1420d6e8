"""What a process touches outside itself: its peers, the event store, time, chance, its end.

Everything else in a process is plain asyncio. The simulation runs the very same processes
with a world of its own, in which messages are delayed and lost, time jumps, and a process
that ends is started again.
"""

import faulthandler
import os
import tempfile
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import ray

from runtime.clocks import now_us
from runtime.process.aside import Aside
from runtime.process.claim_table import ClaimTable, PostgresClaimTable
from runtime.process.notes import Notes
from runtime.process.ray_actors import RayActors
from runtime.process.ray_machines import machines_of_ray
from runtime.process.store_access import open_store
from runtime.settings.settings import Settings
from runtime.topology.machines import Machine
from runtime.topology.names import ProcessKind
from runtime.transport.caller import Caller
from runtime.transport.certificates import Certificates
from runtime.transport.loopback import this_machine
from runtime.transport.network import Network
from runtime.transport.peers import Peers
from runtime.transport.ray_stay import stay_now
from store.event_store import EventStore

T = TypeVar("T")


def _nobody(_: str) -> None:
    """It is counted for nobody."""


class Calls(Protocol):
    """The way to one process: calls of bytes to bytes. What Caller is."""

    async def call(self, method: str, request: bytes) -> bytes:
        """The answer. Raises RayError or ConnectionError while the process is away."""

    def look_again(self) -> None:
        """Find the process anew at the next call."""

    def close(self) -> None:
        """End the connection; calls under way fail."""


class Actors(Protocol):
    """The processes of one system: started, found again, ended for good. What RayActors is."""

    def spawn(
        self,
        kind: type[Any],
        settings: Settings,
        name: str,
        *arguments: Any,
        machine: str = "",
        prefers: str = "",
    ) -> Any:
        """The handle of a process, which is started if there is none of its name; on one `machine`
        alone, or on the one that it `prefers` and else on any that is for its kind."""

    def find(self, name: str) -> Any:
        """The handle of a process as it is now. Raises ValueError when there is none."""

    def processes(self, placement: Mapping[str, str]) -> dict[str, ProcessKind]:
        """Those that there are now, each with its kind."""

    def end(self, name: str) -> None:
        """Kill a process for good; none of that name is fine."""

    def kill(self, handle: Any) -> None:
        """Kill the process of a handle for good, and no other one that has its name by now."""


def address_here() -> str:
    """The address by which Ray knows this machine."""
    address: str = ray.util.get_node_ip_address()
    return address


class World:
    """The real one: Ray, PostgreSQL, the machine's clock and its randomness."""

    #: How this process is on the network of its machine; None: it calls others through Ray.
    network: Network | None = None
    _of_process = False  #: has a process of the system joined?
    _restarted: bool | None = None  #: what Ray's head has said of this process

    def __init__(self, namespace: str) -> None:
        self._peers = Peers(namespace)
        self._aside = Aside()
        #: For questions to the head of the Ray in this stay: one that has ended answers none.
        self._head, self._stay = Aside(), stay_now()
        self.actors: Actors = RayActors(namespace)  #: for who starts processes and ends them

    def join_network(self, settings: Settings, refused: Callable[[str], None] = _nobody) -> None:
        """Have calls to other machines go over their network, if the settings have that."""
        over = settings.transport.between_machines == "tls"
        certificates = Certificates(settings.tls_files)
        self.network = Network(certificates, address_here, refused) if over else None
        self._of_process = refused is not _nobody

    def follow_network(self, settings: Settings) -> None:
        """The same for a connection: in a process of the system that has joined by itself."""
        if not self._of_process:
            self.join_network(settings)

    def restarted(self) -> bool:
        """Has this process had a life before? Ray alone has made this one then, and nobody
        need call it. Ray's head is asked once: it is the same for as long as the process lives."""
        if self._restarted is None and self.ray_actor():
            with warnings.catch_warnings():  # of what Ray itself does to answer this
                warnings.simplefilter("ignore", DeprecationWarning)
                context = ray.get_runtime_context()
                self._restarted = bool(context.was_current_actor_reconstructed)
        return bool(self._restarted)

    def ray_actor(self) -> str:
        """What all incarnations of this process have in common, and no other process has;
        empty outside of Ray."""
        # To ask for the context begins a Ray where there is none.
        return (ray.is_initialized() and ray.get_runtime_context().get_actor_id()) or ""

    def holder(self, settings: Settings) -> str:
        """Who holds the epochs of this process: what it has in common with its predecessors, also
        with those of before a drain, and with no process of another system."""
        return self.system(settings) or self.ray_actor()

    async def handle(self, name: str) -> Any:
        """The Ray handle of a process. Raises ValueError when there is none."""
        known = self._peers.known(name)
        if known is not None:
            return known
        if (stay := stay_now()) is not self._stay:
            self._head, self._stay = Aside(), stay
        looking = self._head.run(partial(self._peers.handle, name))
        return await (looking if stay is None else stay.while_it_lasts(looking))

    def forget(self, name: str) -> None:
        """The process of this name has ended for good: it is looked for anew."""
        self._peers.forget(name)

    async def caller(self, name: str) -> Calls:
        """A way to a process. Raises ValueError when there is none."""
        return Caller(await self.handle(name), self.machine, lambda: self.network, name)

    async def aside(self, work: Callable[[], T]) -> T:
        """What some work returns, or raises, that blocks the thread it runs in: another one than
        that of the loop."""
        return await self._aside.run(work)

    def machine(self) -> str:
        """Where this process runs: processes of one machine reach one another past Ray. Empty
        outside of Ray."""
        return this_machine() if ray.is_initialized() else ""

    async def machines(self) -> Sequence[Machine]:
        """Those of this Ray that there are now; for directories. Raises what Ray raises where
        its head does not answer."""
        return await self.aside(machines_of_ray)

    async def open_store(self, settings: Settings) -> EventStore:
        """The event store that the settings name. Raises StoreUnavailable."""
        return await open_store(settings, self.handle, self.system(settings))

    def claim_table(self, settings: Callable[[], Settings]) -> ClaimTable:
        """The claim on the database that the settings name, as they are then; for directories."""
        return PostgresClaimTable(settings)

    def system(self, settings: Settings) -> str | None:
        """What the claim on a database knows a system by: this Ray cluster, for as long as it
        lives, and the namespace. None outside of Ray, where nothing is claimed."""
        if not ray.is_initialized():
            return None
        session: str = ray.get_runtime_context().get_session_name()
        return f"{session}/{settings.actor_system.namespace}"

    def now_us(self) -> int:
        """Unix microseconds: the time of day."""
        return now_us()

    def random(self, size: int) -> bytes:
        """So many random bytes."""
        return os.urandom(size)

    def beside(self, work: Callable[[], None]) -> None:
        """Run something in a thread of its own, which ends with the process at the latest."""
        threading.Thread(target=work, daemon=True).start()

    def end(self) -> None:
        """End this process at once: Ray is to start it anew."""
        os._exit(1)

    def notes(self) -> Notes | None:
        """What incarnations of this process leave for one another; None where there is one only."""
        if not (actor := self.ray_actor()):
            return None
        said = ray._private.worker.global_worker.get_out_file_path()
        folder = Path(said).parent if said else Path(tempfile.gettempdir())
        return Notes(folder / f"thornback-{actor}")

    def end_unless_called(self, within_s: float, telling: int) -> None:
        """End this process, unless this is called again in time: by a thread that needs no
        interpreter, for where code of C has that and does not give it back. It tells where each
        thread was, in the open file of that number."""
        faulthandler.dump_traceback_later(within_s, exit=True, file=telling)

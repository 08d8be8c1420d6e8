"""The actor system, as a driver finds it: connect to one that runs, or launch one. What can be done
with it then is in its face, of one partition or of several."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Self

from runtime.driver.directory_link import for_driver, join
from runtime.driver.opening import opening
from runtime.driver.own_settings import own_settings, say_what_does_not_count
from runtime.errors import LaunchFailed, SystemNotFound
from runtime.face import Face
from runtime.partitioned_face import PartitionedFace
from runtime.process.partitioning import check_partitioned, check_same_partition, each_partition
from runtime.settings.settings import Settings
from runtime.topology.partitions import named_partition, namespace_of
from runtime.topology.status import Progress, Topology
from runtime.transport.certificates import check_certificates

#: What to do where a part of a system runs alone.
_HALF = (
    "the first partition of {!r} runs without it, as after half a drain: `thornback drain` "
    "ends what is left, and launching it again starts what is missing"
)


class ActorSystem(Face):
    """A connection to a running system. Use `connect` or `launch`; close it, or use it as
    a context manager, to end the connection (the system itself runs on)."""

    @classmethod
    def connect(
        cls,
        namespace: str | None = None,
        *,
        settings: Settings | None = None,
        timeout_s: float = 30.0,
    ) -> Self:
        """Connect to the system of a namespace, on the Ray this process is connected to
        (or on that of `RAY_ADDRESS`, or of `thornback up` in this folder).

        What is not given comes from the settings: `settings`, or those of the environment and
        of the file. A driver has of them the namespace, and where they say it, how long a reply
        is waited for (`actor_system.actor_timeout_ms`) and how many connections to the database
        it may open (`event_store.connection_pool_size`); all else is the system's.

        A system of several partitions (event_store.partitions) is a PartitionedSystem; one of them
        alone is named by its namespace, with `.partition-0` and so on behind that of the system.

        Waits while the system is just being started, and takes no longer than about `timeout_s`
        to find a Ray and as long to find the system. Raises ConfigurationError, SystemNotFound,
        which says where it was looked for, SystemDraining while it is being stopped, and
        LaunchFailed with the reason if it does not start in time.

        The Ray of `thornback up` is left when it ends, and the next one of that folder joined, for
        as long as a connection is open (docs/decisions/0053).
        """
        from runtime.cluster.ray_session import NoRay, join_ray  # noqa: PLC0415 - a system in one process joins no Ray

        settings = own_settings(settings)
        namespace = settings.actor_system.namespace if namespace is None else namespace
        with opening():
            try:
                join_ray(timeout_s, stay=True)
            except NoRay as error:
                raise SystemNotFound(namespace, error.reason, error.remedy) from None
            named = named_partition(namespace)
            single = named is not None and named[1] == 0
            topology = join(named[0] if named and single else namespace, timeout_s)
            running = Settings.model_validate_json(topology.settings_json)
            say_what_does_not_count(settings, running)
            adapted = partial(for_driver, own=settings)
            if running.event_store.partitions == 1 or running.event_store.partition or single:
                return cls(topology, adapted=adapted)
            several: Any = PartitionedSystem
            return several.joined(topology, partial(join, timeout_s=timeout_s), adapted)  # type: ignore[no-any-return]

    @classmethod
    def launch(
        cls,
        settings: Settings | None = None,
        *,
        timeout_s: float = 90.0,
        progress: Callable[[Progress], None] | None = None,
        take_over: bool = False,
    ) -> Self:
        """Start the topology as detached, named actors and connect to it. Where it runs
        already this only connects. Starts a Ray that ends with this program where none is meant:
        neither by `RAY_ADDRESS` nor by `thornback up` in this folder.

        One database has one system: one that another system has, which may be alive, is refused
        with DatabaseInUse, unless this one is to `take_over`: the other one then ends.

        `progress` hears now and then how far the start has come. `timeout_s` does not count the
        time in which a larger log is brought up to the schema of a new release; the half minute in
        which it is watched whether another system is alive does count. Raises LaunchFailed with the
        reason, after stopping what this launch had started (what ran before runs on), and
        SystemDraining while the system is being stopped.
        """
        from runtime.cluster.launching import launch  # noqa: PLC0415 - connecting needs none of it
        from runtime.cluster.ray_session import NoRay, ensure_ray  # noqa: PLC0415 - nor of this

        settings = own_settings(settings)
        check_certificates(settings)  # before a Ray is started for nothing
        check_partitioned(settings)
        with opening():
            try:
                ensure_ray()
            except NoRay as error:
                raise LaunchFailed(str(error)) from error
            start = partial(launch, timeout_s=timeout_s, progress=progress, take_over=take_over)
            if settings.event_store.partitions == 1:
                topology = start(settings)
                check_same_partition(topology, settings)
                return cls(topology)
            several: Any = PartitionedSystem
            return several.launched(settings, start)  # type: ignore[no-any-return]


class PartitionedSystem(PartitionedFace, ActorSystem):
    """What `ActorSystem.connect` and `launch` return for a system of several partitions. `parts`
    are these, in their order: each an ActorSystem by itself."""

    parts: tuple[ActorSystem, ...]

    @classmethod
    def launched(cls, settings: Settings, launch: Callable[[Settings], Topology]) -> Self:
        """All partitions of a system, each launched if it does not run. Where one cannot be, those
        that ran before run on, and so do those that this has started: launching again goes on.
        Raises what `launch` raises."""
        found: list[Topology] = []
        for partition, theirs in enumerate(each_partition(settings)):
            try:
                found.append(launch(theirs))
                check_same_partition(found[-1], theirs)
            except LaunchFailed as error:
                raise LaunchFailed(f"partition {partition}: {error}") from error
        return cls.opened(found)

    @classmethod
    def joined(cls, first: Topology, join: Callable[[str], Topology], adapted: Any = None) -> Self:
        """All partitions of a system that runs, by its first one. Raises what `join` raises."""
        settings = Settings.model_validate_json(first.settings_json)
        namespace = settings.actor_system.namespace
        others = range(1, settings.event_store.partitions)
        try:
            found = [join(namespace_of(namespace, one)) for one in others]
        except SystemNotFound as error:
            raise SystemNotFound(error.namespace, error.tried, _HALF.format(namespace)) from error
        return cls.opened([first, *found], adapted)

    @classmethod
    def opened(cls, topologies: Iterable[Topology], adapted: Any = None) -> Self:
        """Connections to all of them, which work in one loop."""
        parts: list[ActorSystem] = []
        try:
            for topology in topologies:
                beside = parts[0].connection if parts else None
                parts.append(ActorSystem(topology, adapted=adapted, beside=beside))
        except BaseException:
            for part in reversed(parts):
                part.close()
            raise
        first, *others = parts
        first.logs_beside = [each.connection for each in others]
        for each in others:
            each.logs_beside = None
        return cls(parts)

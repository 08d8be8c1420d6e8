"""Constants of the path that a simulation makes small, so that their limits are met."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

#: knob -> (module, class or "", attribute)
KNOBS = {
    "batch": ("runtime.driver.outgoing", "", "MAX_COMMANDS"),
    "fewest": ("runtime.host.batch", "", "FEWEST"),
    "recent": ("runtime.host.host", "Host", "RECENT"),
    "together": ("runtime.host.residents", "Residents", "TOGETHER"),
    "page": ("runtime.partition.feed", "Feed", "FIRST_PAGE"),
    "page_bytes": ("thornback.simulation.simulated_store", "SimulatedStore", "PAGE_BYTES"),
    "snapshot_bytes": ("runtime.host.snapshots", "SnapshotSaving", "MAX_BYTES"),
    "snapshot_write": ("runtime.host.snapshots", "SnapshotSaving", "WRITE_BYTES"),
    "commit_bytes": ("store.group_commit", "GroupCommit", "MAX_BYTES"),
    "attempt_bytes": ("runtime.host.decision", "", "ATTEMPT_BYTES"),
    "unpublished_bytes": ("runtime.partition.writer", "WriterActor", "UNPUBLISHED_BYTES"),
    "unpublished": ("runtime.partition.writer", "WriterActor", "MAX_UNPUBLISHED"),
    "ahead": ("runtime.partition.feed", "Feed", "AHEAD_PAGES"),
    "keys": ("runtime.processing.key_table", "KeyTable", "MAX_KEYS"),
    "program_bytes": ("runtime.processing.program_run", "ProgramRun", "APPEND_BYTES"),
    "replayed": ("runtime.processing.replaying", "", "TOGETHER"),
    "due": ("runtime.processing.evaluation", "Evaluation", "DUE_TOGETHER"),
    "aligned": ("runtime.processing.program_run", "ProgramRun", "ALIGNED"),
    "near": ("runtime.processing.companion", "Companion", "NEAR"),
    "abreast": ("runtime.processing.company", "Company", "ABREAST"),
    "broadcast": ("runtime.driver.broadcasting", "", "PAGE"),
    "nearly": ("runtime.processing.rebuilding", "", "_NEAR"),
    "messages": ("runtime.processing.mailing", "Mailing", "MESSAGES"),
    "window": ("runtime.processing.timer_window", "Window", "MOST"),
    "at_work": ("runtime.processing.timer_window", "Window", "AT_WORK"),
    "look_ahead": ("runtime.processing.timer_window", "Window", "AHEAD_US"),
    "timers": ("runtime.processing.timekeeping", "Timekeeping", "PAGE"),
    "heat_look": ("runtime.cluster.promotion", "Promotion", "LOOK_S"),
    "heat_window": ("runtime.host.shard_loads", "ShardLoads", "WINDOW_S"),
    "poll_bytes": ("runtime.partition.buffer", "", "POLL_BYTES"),
}


@contextmanager
def turned(values: Mapping[str, int]) -> Iterator[None]:
    """Set the constants, and set them back. Raises AttributeError for one that is gone."""
    before: list[tuple[Any, str, Any]] = []
    try:
        for knob, value in values.items():
            module, holder, attribute = KNOBS[knob]
            place: Any = import_module(module)
            place = getattr(place, holder) if holder else place
            before.append((place, attribute, getattr(place, attribute)))
            setattr(place, attribute, value)
        yield
    finally:
        for place, attribute, value in before:
            setattr(place, attribute, value)

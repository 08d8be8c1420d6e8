"""What sharing and reusing saves where rows become events: time, objects, bytes.

    python -m benchmarks.event_pool [EVENTS]

The rows are those of the bench's meters. Each way decodes the same pages, in turn with the others,
five times; the least of each is shown, as processor time. Objects and bytes are those that are
alive while the events of the log are held.

- "as it is": with the pool of names (store/rows/event_pool.py), and collections held back;
- "names made anew": the pool forgets at once what it is given;
- "with collections": the garbage collector runs as it likes;
- "objects reused": what one would save at most if the objects of events were taken out of a pool
  too: the making of them alone, without decoding, against writing fields of one that is there.
"""

import gc
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import msgspec

from actors.event import Event
from store.rows import decoding
from store.rows.decoding import Decoder
from store.rows.encoding import encode_event
from tests.contracts.appending import made_event

ROUNDS, PAGE, SOURCES = 5, 2_000, 1_000


class _Forgetting(dict[Any, Any]):
    """Keeps nothing."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """Or every event would find what another one has made."""


def pages(count: int) -> list[bytes]:
    """The rows of so many readings, a page after the other."""
    rows = [
        encode_event(
            made_event(
                f"meter/{number % SOURCES:04}",
                number // SOURCES + 1,
                event_type="reading-taken",
                data={"celsius": number / 8, "room": "room 101, second floor", "number": number},
            )
        )
        for number in range(count)
    ]
    return [b"".join(rows[at : at + PAGE]) for at in range(0, count, PAGE)]


def decode(decoder: Decoder, cut: list[bytes]) -> list[list[Event]]:
    """All of them."""
    return [decoder.events(page, first_position=1, recorded_us=0) for page in cut]


def forgetful() -> Decoder:
    """A decoder whose pool keeps nothing."""
    decoder = Decoder()
    decoder.pool.types = _Forgetting()
    return decoder


@contextmanager
def collecting() -> Iterator[None]:
    """Decoding holds no collection back."""
    with patch.object(decoding, "_no_collection", nullcontext):
        yield


def spent_us(work: Callable[[], object], count: int) -> float:
    """Processor time an event."""
    gc.collect()
    started = time.process_time()
    kept = work()
    spent = time.process_time() - started
    del kept
    return spent / count * 1e6


def held(work: Callable[[], object], count: int) -> tuple[float, float]:
    """Objects and bytes an event, while they are held."""
    gc.collect()
    before = sys.getallocatedblocks()
    kept = work()
    blocks = sys.getallocatedblocks() - before
    del kept
    tracemalloc.start()
    kept = work()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return blocks / count, size / count


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    cut = pages(count)
    ways: dict[str, Callable[[], object]] = {
        "as it is": lambda: decode(Decoder(), cut),
        "names made anew": lambda: decode(forgetful(), cut),
    }
    spent: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, work in ways.items():
            spent.setdefault(name, []).append(spent_us(work, count))
        with collecting():
            spent.setdefault("with collections", []).append(spent_us(ways["as it is"], count))
        for name, made in _objects(count).items():
            spent.setdefault(name, []).append(spent_us(made, count))
    print(f"{'an event':<36} {'us':>8} {'objects':>9} {'bytes':>9}")
    for name, each in spent.items():
        blocks, size = held(ways[name], count) if name in ways else (0.0, 0.0)
        more = f" {blocks:>9.1f} {size:>9.0f}" if blocks else ""
        print(f"{name:<36} {min(each):>8.2f}{more}")


def _is_read_late(name: str) -> bool:
    return isinstance(getattr(Event, name), property)


def _objects(count: int) -> dict[str, Callable[[], object]]:
    """Making an Event of fields that are there, and writing these into one that is there."""
    example = made_event()
    fields = {name: getattr(example, name) for name in Event.__struct_fields__}
    write = msgspec.structs.force_setattr
    # Those that are read when somebody asks cannot be written so, and are left out.
    names = [(name, value) for name, value in fields.items() if not _is_read_late(name)]

    def made() -> None:
        for _ in range(count):
            Event(**fields)

    def reused() -> None:
        for _ in range(count):
            for name, value in names:
                write(example, name, value)

    return {"its object alone: made": made, "its object alone: written again": reused}


if __name__ == "__main__":
    main()

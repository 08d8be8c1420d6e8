"""Handlers that run together: of one event, what the higher one makes stands before what the lower
one makes, for as long as the higher one has not failed."""

from collections.abc import Iterable
from hashlib import sha256
from typing import TYPE_CHECKING

from tests.simulation.log_index import LogIndex

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: Of each company its handlers, the highest first: said again here, and whether they ever fail.
_ORDERS = {
    "duo": (("calm", False), ("clumsy", True)),
    "trio": (("sulky", True), ("ahead", False), ("behind", False)),
    "pair": (("stuck", True), ("brisk", False)),
}


def judge_order(log: LogIndex, simulation: "Simulation") -> Iterable[str]:
    """Not where one of them has run by itself, nor where they may be apart and none has failed."""
    knobs, wishes = simulation.plan.setup.knobs, simulation.history.runnings
    if not knobs.get("abreast") or any(one.program == "ahead" for one in wishes):
        return
    for handlers in _ORDERS.values():
        names = [name for name, _ in handlers]
        made: dict[bytes | None, dict[str, int]] = {}
        for record in log.records:
            name = record.source.partition("/")[0]
            if name in names:
                made.setdefault(record.causation_id, {})[name] = record.position
        bad = [
            record.position
            for record in log.records
            if record.source.startswith(("ledger/", "feed/"))
            and sha256(record.id).digest()[0] % 10 == 3
        ]
        first_bad = min(bad, default=10**9)
        for cause, theirs in made.items():
            event = log.by_id.get(cause or b"")
            if event is None:
                continue  # judged with its output
            for index, (name, fails) in enumerate(handlers):
                if fails and event.position >= first_bad:
                    continue  # nobody waits for it: it may have been apart
                lower = [theirs[other] for other in names[index + 1 :] if other in theirs]
                if lower and theirs.get(name, min(lower)) >= min(lower):
                    yield f"of event {event.position}, {name} is not before others: {theirs}"

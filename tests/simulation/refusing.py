"""Rows that the database refuses, in the simulation, and actors that no row can hold: a projection
that parks, skips or stands there, and an index that is told to go on."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from actors.actor import applies
from actors.event import Event
from streams.actor_index import ActorIndex
from streams.failures import OnFailure
from streams.projection import Projection
from tests.simulation.devices import Ledger, LedgerState, Noted, Opened
from tests.simulation.failing_programs import (
    BAD_STEP,
    fails_at,
    plan_cut_replay,
    plan_steps_of,
    plan_worker_faults,
)
from tests.simulation.plan import Fault, Setup, Step
from thornback.simulation.draws import stream

#: A row whose data has this text in it is one that the simulated database cannot hold.
POISON = b"poisonous"
ODD_INDEX = "odd-index"
#: What a ledger is marked with when it is opened, by its token: what no row can hold, what the
#: database refuses, and what is well.
MARKS = ("\0", POISON.decode(), "fine", "fine")
#: The index's code fails at a token of this rest, divided by so much.
SPOILT, OF = 5, 13


@dataclass(frozen=True)
class Choice:
    """What is known of a source, and a word that the database may refuse."""

    count: int
    through: int
    word: str


class Choosy(Projection[Choice]):
    """Counts the events of each source; some of them make a row that the database refuses."""

    name = "choosy"
    sources: Sequence[str] = ("ledger/*", "feed/*")
    tries = 1

    def __init__(self, name: str, on_failure: OnFailure, *, mended: bool = False) -> None:
        self.name, self.on_failure, self.mended = name, on_failure, mended

    def project(self, event: Event, row: Choice | None) -> Choice:
        """One more."""
        refused = fails_at(event.id_bytes) == BAD_STEP and not self.mended
        if row is not None and row.word != "fine":
            refused = True  # or the next event of a batch would make it well before it is seen
        count = 0 if row is None else row.count
        return Choice(count + 1, event.position or 0, POISON.decode() if refused else "fine")


class MarkedState(LedgerState):
    """With what it was marked with."""

    mark: str = ""


class Marked(Ledger):
    """A ledger as its odd index sees it."""

    actor_type = "ledger"
    indexes = ("open", "taken", "mark")
    state: MarkedState

    @applies
    def noted(self, event: Noted) -> None:
        if event.token % OF == SPOILT:
            raise RuntimeError("spoilt")
        super().noted(event)
        self.state.mark = ""

    @applies
    def opened(self, event: Opened) -> None:
        super().opened(event)
        self.state.mark = MARKS[event.token % len(MARKS)]


Marked.state_type = MarkedState


class OddIndex(ActorIndex):
    """An index under a name of its own: ledgers have another one."""

    def __init__(self) -> None:
        super().__init__(Marked)
        self.name = ODD_INDEX


REFUSED = {
    "choosy": Choosy("choosy", "park"),
    "choosy-skips": Choosy("choosy-skips", "skip"),
    "choosy-stands": Choosy("choosy-stands", "pause"),
    ODD_INDEX: OddIndex(),
}
MENDED = {"choosy": Choosy("choosy", "park", mended=True)}


def plan_refused(
    seed: int, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """Add to a plan what is done with these programs: drawn apart from all else."""
    draw = stream(seed, "refused rows")
    if draw.random() < 0.7:
        return
    setup.knobs.setdefault("replayed", draw.choice((1, 2, 500)))
    processing = setup.settings.setdefault("processing", {})
    processing.setdefault("batch_processing_size", draw.choice((1, 2, 5, 50)))
    name = draw.choice(("choosy", "choosy", "choosy-skips", "choosy-stands", ODD_INDEX, ODD_INDEX))
    steps = plan_steps_of(draw, name, 320_000)
    strands[draw.randrange(setup.drivers)].append(steps)
    if name == ODD_INDEX:
        strands[0].append(_doors(draw))
    plan_worker_faults(draw, name, faults, steps)
    plan_cut_replay(seed, setup, name, steps, faults)


def _doors(draw: Random) -> list[Step]:
    """Ledgers are opened, and noted in: their marks come and go."""
    return [
        Step(
            330_000 + number, round(draw.expovariate(4.0), 4), "ask", f"ledger/{draw.randrange(3)}",
            draw.choice(("Open", "Open", "NoteOnce")), {"token": 330_000 + number},
        )
        for number in range(draw.choice((5, 15)))
    ]  # fmt: skip

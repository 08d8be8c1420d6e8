"""What the drivers of a simulation do: strands of steps, drawn from the seed."""

from collections.abc import Iterator
from typing import Any

from actors.naming import aggregate_id_of
from tests.simulation.plan import ACTIVE_S, Setup, Step
from thornback.simulation.draws import stream


def door_steps(source: str, kind: str, times: int, numbers: Iterator[int]) -> tuple[Step, ...]:
    """What is rejected, and what lifts the reason, one after the other."""
    return tuple(
        Step(number, 0.0, kind, source, message, {"token": number})
        for message, number in zip(("NoteIfOpen", "Open") * times, numbers, strict=False)
    )


class Work:
    """Draws what the drivers do."""

    def __init__(self, seed: int, setup: Setup) -> None:
        self._draw = stream(seed, "work")
        self._setup = setup
        self._number = 0
        self._repeatable: list[Step] = []
        draw = self._draw
        self._ledgers = [f"ledger/{n}" for n in range(draw.choice((1, 2, 4, 8)))]
        self._ledgers += setup.sources
        self._feeds = [f"feed/{n}" for n in range(2)]
        self._weights = {kind: draw.choice((0.3, 1.0, 1.0, 3.0)) for kind in _STEPS}
        self._upgrader = draw.randrange(setup.drivers)
        self._nasty = draw.choice((0.0, 0.15, 0.4))  #: how many commands fail in some way
        self._pace_s = draw.choice((0.02, 0.1, 0.4))

    def strands(self) -> list[list[list[Step]]]:
        """By driver, by strand."""
        found: list[list[list[Step]]] = []
        for driver in range(self._setup.drivers):
            theirs = [self._strand(driver) for _ in range(self._draw.choice((1, 2, 3)))]
            found.append(theirs)
        return found

    def _strand(self, driver: int) -> list[Step]:
        steps, passed_s = [], 0.0
        for _ in range(self._draw.choice((5, 10, 20))):
            pause_s = round(self._draw.expovariate(1 / self._pace_s), 4)
            passed_s += pause_s
            if passed_s > ACTIVE_S:
                break
            steps.append(self._step(driver, pause_s))
        return steps

    def _step(self, driver: int, pause_s: float) -> Step:
        kinds, weights = list(_STEPS), [_STEPS[kind] * self._weights[kind] for kind in _STEPS]
        (kind,) = self._draw.choices(kinds, weights)
        if kind == "repeat" and not self._repeatable:
            kind = "ask"
        if kind == "upgrade" and driver != self._upgrader:
            kind = "ask"  # a host knows one class of a type, whoever brought it last
        make = getattr(self, f"_{kind.replace(' ', '_')}", None)
        if make is not None:
            return make(pause_s, driver)  # type: ignore[no-any-return]
        return self._command(kind, pause_s)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _command(self, kind: str, pause_s: float, source: str | None = None) -> Step:
        draw, number = self._draw, self._next()
        source = source or draw.choice(self._ledgers)
        if draw.random() < self._nasty:
            message = draw.choice(("Refuse", "Refuse", "Break", "Spoil", "Poison", "Idle",
                                   "Unhandled", "Demand", "NoteUnlessFull"))  # fmt: skip
        else:
            message = draw.choice(("Note", "Note", "Note", "NoteOnce"))
        fields: dict[str, Any] = {"token": number}
        if message == "Note":
            fields["times"] = draw.choice((1, 1, 1, 2, 5))
            fields["parts"] = {"marks": [number]}
        elif message == "NoteUnlessFull":
            fields["limit"] = draw.choice((0, 3, 10))
        elif message == "Refuse":
            fields["way"] = draw.choice(("plain", "own class", "odd", "late", "unspeakable"))
        elif message == "Demand":
            fields["positive"] = draw.choice((1, "no number"))
        waits = draw.random() < 0.6
        step = Step(number, pause_s, kind, source, message, fields, waits)
        if kind in ("ask", "tell") and not source.startswith("shipped/"):
            self._repeatable.append(step)
        return step

    def _repeat(self, pause_s: float, _: int) -> Step:
        first = self._draw.choice(self._repeatable[-20:])
        return Step(
            self._next(), pause_s, "ask", first.source, first.message, first.fields,
            self._draw.random() < 0.6, repeats=first.number,
        )  # fmt: skip

    def _state(self, pause_s: float, _: int) -> Step:
        return Step(self._next(), pause_s, "state", self._draw.choice(self._ledgers))

    def _publish(self, pause_s: float, _: int) -> Step:
        draw, number = self._draw, self._next()
        fields: dict[str, Any] = {"token": number, "nodes": draw.choice((0, 0, 1, 3))}
        if draw.random() < self._nasty:
            fields["bad"] = draw.choice(("metadata", "actor", "type", "aggregate"))
        of_actor = fields.get("bad") in ("actor", "aggregate")
        source = draw.choice(self._ledgers if of_actor else self._feeds)
        if fields.get("bad") == "aggregate":
            source = str(aggregate_id_of(source))
        if "bad" not in fields and draw.random() < 0.2:
            # It gets an actor sooner or later, which its host may know by then, or not.
            source, fields["actor"] = f"shipped/{self._upgrader}", "perhaps"
        return Step(number, pause_s, "publish", source, "", fields, draw.random() < 0.6)

    def _claim(self, pause_s: float, _: int) -> Step:
        """Somebody publishes the id that a command's second event would have, and then that
        command is sent among others."""
        draw, ledger = self._draw, self._draw.choice(self._ledgers)
        numbers = [self._next() for _ in range(draw.choice((2, 4)))]
        publishing, *asking = numbers
        parts = [Step(publishing, 0.0, "publish", draw.choice(self._feeds), "",
                      {"token": publishing})]  # fmt: skip
        culprit = draw.choice(asking)
        for number in asking:
            fields = {"token": number, "times": 2 if number == culprit else 1}
            source = ledger if draw.random() < 0.7 else draw.choice(self._ledgers)
            parts.append(Step(number, 0.0, "ask", source, "Note", fields))
        return Step(self._next(), pause_s, "claim", parts=tuple(parts), more={"culprit": culprit})

    def _burst(self, pause_s: float, _: int) -> Step:
        draw = self._draw
        kind = draw.choice(("ask", "tell"))
        source = draw.choice((None, draw.choice(self._ledgers)))
        parts = tuple(self._command(kind, 0.0, source) for _ in range(draw.choice((3, 8, 20))))
        return Step(self._next(), pause_s, "burst", parts=parts, waits=draw.random() < 0.5)

    def _door(self, pause_s: float, _: int) -> Step:
        """What is rejected, and what lifts the reason, one after the other."""
        draw = self._draw
        source, number = draw.choice(self._ledgers), draw.choice((1, 3, 6))
        kind = draw.choice(("ask", "tell"))
        parts = door_steps(source, kind, number, iter(self._next, None))
        return Step(self._next(), pause_s, "burst", parts=parts, waits=draw.random() < 0.5)

    def _bulk(self, pause_s: float, _: int) -> Step:
        draw = self._draw
        parts: list[Step] = []
        for _ in range(draw.choice((5, 20, 40))):
            if self._repeatable and draw.random() < 0.15:
                parts.append(self._repeat(0.0, 0))
            else:
                parts.append(self._command("ask", 0.0))
        more = {"way": draw.choice(("tell", "tell", "ask")), "progress": draw.random() < 0.3}
        return Step(self._next(), pause_s, "bulk", parts=tuple(parts), more=more)

    def _feed(self, pause_s: float, _: int) -> Step:
        """Batches of which each is to repeat something of the last, as any feed that delivers
        at least once sends them."""
        parts = tuple(self._command("part", 0.0) for _ in range(self._draw.choice((6, 12))))
        return Step(self._next(), pause_s, "feed", parts=parts)

    def _subscribe(self, pause_s: float, driver: int) -> Step:
        draw = self._draw
        more = {
            "after": draw.choice((None, 0, 0, "last")),
            "types": draw.choice(("*", "*", "noted", "p*")),
            "sources": draw.choice(("*", "*", "ledger/*", "feed/*", "ledger/0")),
            "reads": [draw.choice(_READS) for _ in range(draw.choice((1, 3, 6)))],
            "stays": draw.random() < 0.7,
        }
        return Step(self._next(), pause_s, "subscribe", more=more, waits=False)

    def _close(self, pause_s: float, _: int) -> Step:
        number, source = self._next(), self._draw.choice(self._ledgers)
        fields = {"token": number, "times": 1}
        return Step(number, pause_s, "close", source, "Note", fields)

    def _upgrade(self, pause_s: float, driver: int) -> Step:
        number = self._next()
        parts = tuple(
            self._command("ask", 0.0, f"shipped/{driver}") for _ in range(self._draw.choice((2, 5)))
        )
        return Step(number, pause_s, "upgrade", parts=parts)

    def _flush(self, pause_s: float, _: int) -> Step:
        return Step(self._next(), pause_s, "flush")


#: How often each kind of step is taken, before a seed weighs them again.
_STEPS = {
    "ask": 10.0, "tell": 4.0, "repeat": 3.0, "state": 3.0, "publish": 2.0, "burst": 1.5,
    "bulk": 1.0, "feed": 1.0, "subscribe": 1.0, "close": 0.2, "upgrade": 0.7, "flush": 0.3,
    "claim": 0.5, "door": 2.0,
}  # fmt: skip

_READS = ("some", "some", "give up", "pause", "another reader")

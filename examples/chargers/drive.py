"""A driver: 50 commands to each of 2,000 chargers, and what became of them.

Each command has an id that is made from what it is, so a second run changes nothing. One command
of each charger is rejected: a reading that is not possible.

    python drive.py [CHARGERS]
"""

import sys
import time
from collections.abc import Iterator
from uuid import NAMESPACE_URL, uuid5

from chargers.charger import Charger, Commission, ReadMeter, StartSession, StopSession
from thornback import ActorSystem, Command, Rejected, Send, ThornbackError

SITES = ("harbour", "airport", "market", "station", "stadium")


def commands(number: int) -> Iterator[Command]:
    """The 50 commands of a charger, in their order."""
    yield Commission(site=SITES[number % len(SITES)])
    yield ReadMeter(kwh=9999.0)
    for session in range(6):
        yield StartSession(card=f"card-{(number * 7 + session) % 997}")
        for reading in range(6):
            yield ReadMeter(kwh=(number + session + reading) % 10 / 2)
        yield StopSession()


def sends(system: ActorSystem, chargers: int) -> Iterator[Send]:
    """All commands, to all chargers in turn."""
    refs = [system.actor(Charger, f"c-{number:04}") for number in range(chargers)]
    waiting = [commands(number) for number in range(chargers)]
    for step in range(50):
        for ref, own in zip(refs, waiting, strict=True):
            yield Send(ref, next(own), id=uuid5(NAMESPACE_URL, f"chargers/{ref.source}/{step}"))


def main(chargers: int) -> None:
    with ActorSystem.connect() as system:
        began_s = time.monotonic()
        done = system.tell_many(sends(system, chargers))
        took_s = time.monotonic() - began_s
        print(
            f"{done.commands:,} commands in {took_s:.1f} s: {done.events:,} events, "
            f"{done.repeats:,} were there before, {done.failed:,} rejected"
        )
        print("for example:", done.errors[0][1])
        first = system.actor(Charger, "c-0000")
        print(f"{first.source} is {first.state().result()}")
        try:
            first.ask(StopSession()).result()
        except Rejected as rejection:
            print("rejected:", rejection)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000)
    except ThornbackError as error:
        sys.exit(f"error: {error}")

"""A durable subscriber: writes down what it sees.

python -m tests.chaos.reader NAMESPACE INCARNATION FOLDER
"""

import sys
import threading
from pathlib import Path

from actors.errors import ThornbackError
from runtime.driver.subscription import Subscription
from runtime.system import ActorSystem
from tests.chaos.driver import connected
from tests.chaos.ending import listen_for_end
from tests.chaos.records import Record

NAME = "ledger"


def opened(system: ActorSystem, over: threading.Event) -> Subscription | None:
    """As soon as the log can be asked; None when it is to end before that."""
    while not over.is_set():
        try:
            return system.subscribe(sources="counter/*", name=NAME, after=0)
        except ThornbackError as error:
            print(error, file=sys.stderr, flush=True)
            over.wait(0.5)
    return None


def main() -> int:
    """Until it is told to end."""
    namespace, incarnation, folder = sys.argv[1:]
    over = threading.Event()
    closing: list[Subscription] = []

    def end() -> None:
        over.set()
        for each in closing:
            each.close()

    listen_for_end(end)
    system = connected(namespace, over)
    subscription = opened(system, over) if system is not None else None
    if system is None or subscription is None:
        return 1
    closing.append(subscription)
    if over.is_set():  # it was told so just before
        subscription.close()
    record = Record(Path(folder) / f"{NAME}-{incarnation}.jsonl")
    for event in subscription:
        record.write(id=event.id_bytes.hex(), position=event.position)
    system.connection.close()
    record.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A durable subscriber: writes down what it sees.

python -m tests.chaos.reader NAMESPACE INCARNATION FOLDER
"""

import sys
import threading
import time
from pathlib import Path

from actors.errors import ThornbackError
from runtime.driver.subscription import Subscription
from runtime.system import ActorSystem
from tests.chaos.driver import PAUSE_S, connected
from tests.chaos.ending import listen_for_end
from tests.chaos.records import Record

NAME = "ledger"


def opened(system: ActorSystem) -> Subscription:
    """As soon as the log can be asked, which is tried for five seconds each time."""
    while True:
        try:
            return system.subscribe(sources="counter/*", name=NAME, after=0)
        except ThornbackError as error:
            print(error, file=sys.stderr, flush=True)
            time.sleep(PAUSE_S)  # some refuse at once, and nobody says when it is over


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
    system = connected(namespace)
    subscription = opened(system)
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

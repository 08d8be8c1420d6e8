"""Runs seeds with one mutation in the path until one of them finds it: a process of its own."""

import atexit
import sys
import time

from tests.simulation.mutations.catalogue import MUTATIONS
from tests.simulation.mutations.patching import put_in


def main() -> int:
    """Arguments: the mutation's name (none for the path as it is), and how many seeds to try."""
    name, seeds = sys.argv[1], int(sys.argv[2])
    if name:
        put_in(MUTATIONS[name])
    from runtime.driver.connection import say_unheard  # noqa: PLC0415 - the same
    from tests.simulation.planning import plan_of  # noqa: PLC0415 - what it imports is changed
    from tests.simulation.simulation import simulate  # noqa: PLC0415

    # What drivers of a simulation left unanswered when they died is no news of this program's.
    atexit.unregister(say_unheard)
    began_s = time.monotonic()
    for seed in range(seeds):
        problems = simulate(plan_of(seed)).problems
        if problems:
            print(f"{seed}\t{time.monotonic() - began_s:.1f}\t{problems[0]}")
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())

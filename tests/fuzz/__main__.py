"""`python -m tests.fuzz`: bad requests, as many as one likes, and a figure of what came of them."""

import argparse
import logging
import time

from tests.fuzz.fuzzing import fuzz
from tests.fuzz.on_ray import target_on_ray
from tests.fuzz.target import target


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--requests", type=int, default=100_000, metavar="N")
    options.add_argument("--seed", type=int, default=1, metavar="N")
    options.add_argument(
        "--in-process", action="store_true", help="in place of a Ray, with a log in memory: faster"
    )
    arguments = options.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("thornback").setLevel(logging.CRITICAL)  # they complain of bad requests
    began_s = time.monotonic()
    with target() if arguments.in_process else target_on_ray() as against:
        fuzz(against, arguments.requests, arguments.seed)
        against.judge()
    took_s = time.monotonic() - began_s
    by_status = ", ".join(f"{status}: {n:,}" for status, n in sorted(against.answers.items()))
    print(f"{against.requests:,} connections in {took_s:,.0f} s; answers by status: {by_status}")


if __name__ == "__main__":
    main()

"""Sending many bad requests, chosen by Hypothesis."""

import logging

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.bad_requests import requests
from tests.fuzz.target import Target

#: Sent together, so that they meet one another.
TOGETHER = 100
#: After so many another seed begins: Hypothesis looks for what it has not tried yet, which gets
#: longer and longer.
ROUND = 5_000

logger = logging.getLogger("fuzz")


def fuzz(against: Target, count: int, chosen: int) -> None:
    """Send so many. Raises AssertionError with the requests at fault, made small."""

    rounds = settings(
        max_examples=max(min(ROUND, count) // TOGETHER, 1),
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    together = given(st.lists(requests, min_size=TOGETHER, max_size=TOGETHER))
    while against.requests < count:
        rounds(seed(chosen)(together(against.send)))()
        chosen += 1
        logger.info("%d of %d", against.requests, count)

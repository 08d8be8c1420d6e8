"""Says what is wrong with a history. It shares no code with what it judges."""

from collections.abc import Iterator

from tests.chaos.history import History, Problem
from tests.chaos.judging_clocks import clock_problems
from tests.chaos.judging_derived import derived_problems
from tests.chaos.judging_drivers import driver_problems
from tests.chaos.judging_followers import follower_problems
from tests.chaos.judging_log import log_problems
from tests.chaos.judging_messages import message_problems
from tests.chaos.judging_strangers import stranger_problems
from tests.chaos.judging_timers import timer_problems

_JUDGES = (
    log_problems,
    clock_problems,
    driver_problems,
    stranger_problems,
    follower_problems,
    derived_problems,
    message_problems,
    timer_problems,
)


def problems(history: History) -> list[Problem]:
    """All that is wrong; nothing, for a run that kept what is promised."""
    return list(_all(history))


def _all(history: History) -> Iterator[Problem]:
    for judge in _JUDGES:
        yield from judge(history)

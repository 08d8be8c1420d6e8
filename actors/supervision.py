"""What becomes of an actor that fails: strategies, scopes, limits, and the decision between them.

    class Charger(Actor[ChargerState]):
        supervision = Supervision(strategy="restart", policy=RestartPolicy(intensity=5))

All of it is values and one function of them: no clock, no chance and no machine. Whoever runs the
actors passes these in, and does what is decided (runtime/host/supervision.py). The words are those
of Erlang/OTP's supervisors; `resume` and `escalate` are Akka's.

A failure is anything that a handler or an applier raises but Rejected: a refusal is none.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from typing import Any


class Strategy(StrEnum):
    """What becomes of an actor that failed."""

    RESTART = "restart"  #: its state is rebuilt from snapshot and log
    RESUME = "resume"  #: it goes on as it is, unless an event was applied half
    STOP = "stop"  #: it takes no commands any more, until somebody starts it
    ESCALATE = "escalate"  #: its host is to decide


class Scope(StrEnum):
    """Whom it is done to."""

    ONE_FOR_ONE = "one-for-one"  #: the actor that failed
    ALL_FOR_ONE = "all-for-one"  #: all actors of its type that are in the memory of its host


_WITHOUT_RESTARTS = (Strategy.STOP, Strategy.ESCALATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """How often an actor is restarted, and how long it rests before it is.

    Raises ValueError for what is no policy.
    """

    intensity: int | None = 3  #: restarts in one period; at the next one it is stopped. None: any
    period_s: float = 5.0  #: a sliding window
    backoff_s: float = 0.1  #: the first rest; each further one is twice as long
    max_backoff_s: float = 10.0  #: the longest one, with whatever chance adds to it
    jitter: float = 0.2  #: so much of a rest is left to chance: 0.2 is 80 to 120 %

    def __post_init__(self) -> None:
        if self.intensity is not None and not _is_count(self.intensity):
            raise ValueError(_wrong("intensity", self.intensity, "a count of at least 0, or None"))
        if not _is_number(self.period_s) or self.period_s <= 0:
            raise ValueError(_wrong("period_s", self.period_s, "seconds, more than 0"))
        if not _is_number(self.backoff_s) or self.backoff_s < 0:
            raise ValueError(_wrong("backoff_s", self.backoff_s, "seconds, or 0"))
        if not _is_number(self.max_backoff_s) or self.max_backoff_s < self.backoff_s:
            wanted = f"seconds, and no less than backoff_s, which is {self.backoff_s!r:.40}"
            unsaid = type(self).__dataclass_fields__["max_backoff_s"].default
            by_default = ", its default: say both" if self.max_backoff_s == unsaid else ""
            raise ValueError(_wrong("max_backoff_s", self.max_backoff_s, wanted) + by_default)
        if not _is_number(self.jitter) or not 0 <= self.jitter <= 1:
            raise ValueError(_wrong("jitter", self.jitter, "a part, from 0 to 1"))

    def rest_s(self, before: int, chance: float) -> float:
        """How long the rest is after so many restarts in a row; `chance` is from 0 to 1."""
        if not self.backoff_s:
            return 0.0
        # 2.0 ** 64 is more than any rest, and no overflow.
        grown_s = self.backoff_s * 2.0 ** min(before, 64)
        # What chance adds is within the longest rest; cut off there, many would end at one moment.
        rest_s = min(grown_s, self.max_backoff_s / (1 + self.jitter))
        return min(rest_s * (1 + self.jitter * (2 * chance - 1)), self.max_backoff_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """What becomes of the actors of a type that fail. A class says it as its `supervision`.

    `strategy` and `scope` may be said as texts. The policy limits restarts; so it also limits what
    `resume` comes to where an event was applied half, which leaves nothing to go on with. Raises
    ValueError for what there is not.
    """

    strategy: Strategy | str = Strategy.RESTART
    scope: Scope | str = Scope.ONE_FOR_ONE
    policy: RestartPolicy = field(default_factory=RestartPolicy)

    def __post_init__(self) -> None:
        object.__setattr__(self, "strategy", _one_of(Strategy, "strategy", self.strategy))
        object.__setattr__(self, "scope", _one_of(Scope, "scope", self.scope))
        if not isinstance(self.policy, RestartPolicy):
            raise ValueError(_wrong("policy", self.policy, "a RestartPolicy(...)"))
        if self.strategy in _WITHOUT_RESTARTS and self.policy != RestartPolicy():
            problem = f"a policy limits restarts, and {str(self.strategy)!r} restarts nobody"
            raise ValueError(f"{problem}: leave it out")

    @property
    def group(self) -> bool:
        """Does one failure concern all of a type?"""
        return self.scope == Scope.ALL_FOR_ONE


@dataclass(frozen=True, slots=True)
class Restarts:
    """What is remembered of an actor's restarts, or of those of a group. Seconds of any clock that
    does not go back."""

    at_s: tuple[float, ...] = ()  #: the moments of those within the last period
    in_a_row: int = 0  #: of which each failed within a period after it was back
    back_s: float = 0.0  #: the end of the last rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is to be done."""

    strategy: Strategy
    rest_s: float = 0.0  #: before a restart
    exhausted: bool = False  #: it is a stop because there were as many restarts as may be


def judge(
    supervision: Supervision, before: Restarts, now_s: float, *, spoilt: bool, chance: float
) -> tuple[Verdict, Restarts]:
    """What becomes of an actor that has just failed, and what is to be remembered.

    `spoilt` says that an event was applied half: its state is of no use, whatever the strategy.
    """
    strategy = Strategy(supervision.strategy)
    if strategy is Strategy.RESUME and spoilt:
        strategy = Strategy.RESTART
    if strategy is not Strategy.RESTART:
        return Verdict(strategy=strategy), before
    policy = supervision.policy
    if policy == WITHOUT_LIMIT:
        return Verdict(strategy=strategy), before  # there is nothing to be counted
    recent = tuple(at_s for at_s in before.at_s if now_s - at_s < policy.period_s)
    if policy.intensity is not None and len(recent) >= policy.intensity:
        return Verdict(strategy=Strategy.STOP, exhausted=True), NEVER
    in_a_row = before.in_a_row if before.at_s and now_s - before.back_s < policy.period_s else 0
    rest_s = policy.rest_s(in_a_row, chance)
    # Without a limit nobody counts the moments; the last one says that there was one.
    kept = recent if policy.intensity is not None else ()
    return (
        Verdict(strategy=strategy, rest_s=rest_s),
        Restarts((*kept, now_s), in_a_row + 1, now_s + rest_s),
    )


#: The shortest time limit: hosts look this often at what their actors are doing (HandlerWatch), and
#: a machine may well do something else for as long.
SHORTEST_S = 0.25


def is_time_limit(said: Any) -> bool:
    """May an actor class have this as its time limit? None is that it has none of its own."""
    return said is None or (_is_number(said) and said >= SHORTEST_S)


def _one_of(kind: type[StrEnum], name: str, given: Any) -> StrEnum:
    try:
        return kind(given)
    except ValueError:
        known = ", ".join(repr(each.value) for each in kind)
        raise ValueError(_wrong(name, given, f"one of {known}")) from None


def _is_count(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool) and given >= 0


def _is_number(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and isfinite(given)


def _wrong(name: str, given: object, wanted: str) -> str:
    return f"{name} is {wanted}, not {given!r:.80}"


#: As often as it takes, and at once.
WITHOUT_LIMIT = RestartPolicy(intensity=None, backoff_s=0.0)


def without_limit(strategy: str) -> Supervision:
    """A strategy that restarts as often as it takes, if it restarts. Raises ValueError for none."""
    if strategy in _WITHOUT_RESTARTS:
        return Supervision(strategy=strategy)
    return Supervision(strategy=strategy, policy=WITHOUT_LIMIT)


NEVER = Restarts()

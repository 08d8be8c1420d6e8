"""What is done about an event at which a program fails, once it has been tried often enough."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, get_args

#: `park`: the event becomes a dead letter, later events of its key queue behind it, and all others
#: go on. `skip`: it is passed over for that key, and counts as finished. `pause`: the program
#: stands there until somebody says how it is to go on.
OnFailure = Literal["park", "skip", "pause"]

MOST_TRIES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """How often an event is tried, with which pauses, and what becomes of it then; what is None is
    for the settings of the system to say (`processing.on_failure` and so on)."""

    on_failure: OnFailure | None = None
    tries: int | None = None
    backoff: timedelta | None = None  #: before the second try; each further pause is twice as long

    def problem(self) -> str | None:
        """What is wrong with it."""
        if self.on_failure is not None and self.on_failure not in get_args(OnFailure):
            known = ", ".join(map(repr, get_args(OnFailure)))
            return f"on_failure is one of {known}, not {self.on_failure!r:.40}"
        tries: object = self.tries
        if tries is not None and not (type(tries) is int and 1 <= tries <= MOST_TRIES):
            return f"tries is a number from 1 to {MOST_TRIES}, not {tries!r:.40}"
        backoff: object = self.backoff
        if backoff is not None and not (isinstance(backoff, timedelta) and backoff >= timedelta(0)):
            return f"backoff is a timedelta, and not negative: {backoff!r:.40}"
        return None


def failures_of(program: Any) -> Failures:
    """What a program says of it; one that is no Handler and no EventPipeline need not."""
    return Failures(
        on_failure=getattr(program, "on_failure", None),
        tries=getattr(program, "tries", None),
        backoff=getattr(program, "backoff", None),
    )

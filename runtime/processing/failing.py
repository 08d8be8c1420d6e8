"""What a worker does about an event at which its program fails: tries it again, and then parks it,
passes it over, or stands there."""

from datetime import timedelta

from runtime.host.failing_code import own_frames
from runtime.processing.evaluation import StepFailed
from runtime.processing.parked_here import Failure, Place
from runtime.settings.sections import ProcessingSettings
from runtime.wire.error_codec import text_of_error
from store.projected import REBUILD
from streams.failures import OnFailure, failures_of
from streams.program import Program


class Failing:
    """How one program fares in one worker, beyond its incarnations. In memory alone: who begins
    anew tries again what had failed."""

    #: The longest pause between two tries.
    LONGEST_S = 60.0

    def __init__(self, program: Program, settings: ProcessingSettings) -> None:
        said = failures_of(program)
        backoff = said.backoff or timedelta(milliseconds=settings.failure_backoff_ms)
        # Set once:
        self._tries = said.tries or settings.failure_tries
        self._backoff_s = backoff.total_seconds()
        self._on_failure: OnFailure = said.on_failure or settings.on_failure
        if self._on_failure == "park" and program.name.endswith(REBUILD):
            # It would take the place of a table in which these rows are as they should be.
            self._on_failure = "pause"
        self._most_parked = settings.max_parked_keys
        # Changes with each failure:
        self.suspect = 0  #: the position of the event at which it has failed last
        self._place: Place = (0, "")  #: that, and the key
        self._failures = 0  #: there, one after the other
        self.skipped: set[int] = set()  #: positions that are passed over, for all keys
        self.verdicts: dict[Place, Failure] = {}
        self.trouble = ""

    def note(self, failed: StepFailed, parked: int) -> float | None:
        """It has failed, while so much is parked: the pause before it goes on, which may be to try
        it again, or to do what there is a verdict on now; None: it stands there."""
        event, error = failed.event, failed.__cause__
        assert error is not None
        place = event.position or 0, failed.key
        self._failures = self._failures + 1 if place == self._place else 1
        self._place, self.suspect = place, place[0]
        self.trouble = (
            f"fails at event {event.id} ({event.event_type} of {event.source}, "
            f"position {place[0]}): {text_of_error(error)} [{'; '.join(own_frames(error))}]"
        )
        if self._failures < self._tries:
            return float(min(self._backoff_s * 2 ** (self._failures - 1), self.LONGEST_S))
        # Where it was among others they are finished first: it stands with all before it finished.
        stands = None if self._failures > 1 else 0.0
        if self._on_failure == "pause":
            return stands
        if self._on_failure == "park" and parked >= self._most_parked:
            self.trouble = (
                f"{parked:,} keys are parked, and more are not allowed (max_parked_keys): replay "
                f"or drop some (thornback dead-letters), and resume it. It {self.trouble}"
            )
            return stands
        skip = self._on_failure == "skip"
        self.verdicts[place] = Failure.of(error, self._failures, skip=skip)
        return 0.0

    @property
    def what_was_done(self) -> str | None:
        """With the event at which it has failed last, where there is a verdict."""
        verdict = self.verdicts.get(self._place)
        if verdict is None:
            return None
        return "passes it over" if verdict.skip else "parks it: it is a dead letter now"

    def resume(self, *, skip: bool) -> None:
        """Somebody says that it is to go on."""
        if skip:
            self.skipped.add(self.suspect)
        self._failures = 0

    def passed(self) -> None:
        """The event at which it has failed last is finished, one way or the other."""
        self.suspect, self._place, self._failures = 0, (0, ""), 0
        self.verdicts.clear()

"""What a watch makes of the signs that it sees, and of those that it could not see."""

from datetime import UTC, datetime, timedelta

import pytest

from runtime.cluster.watch import Verdict, Watch
from store.postgres.claims import Claim

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Watched:
    """A system and its watcher, whose clock is the test's."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.beat_s = 0.0
        self.head = 0
        self.watch = Watch(lapse_s=30.0, gap_s=3.0, now_s=lambda: self.now_s)

    def look(self, after_s: float) -> Verdict:
        self.now_s += after_s
        return self.watch.look(
            Claim(
                holder="h",
                system="s",
                namespace="n",
                place="p",
                traces="{}",
                claimed_at=BEGIN,
                beat=BEGIN + timedelta(seconds=self.beat_s),
                head=self.head,
                silent_s=0.0,
                given_up=False,
            )
        )


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_nobody_is_dead_or_alive_at_the_first_look(watched: Watched) -> None:
    assert watched.look(1e9) is Verdict.DOUBT
    assert watched.watch.silent_s == 0.0


def test_silence_that_was_listened_to_makes_dead(watched: Watched) -> None:
    verdicts = [watched.look(0.5) for _ in range(61)]
    assert set(verdicts[:-1]) == {Verdict.DOUBT}
    assert verdicts[-1] is Verdict.DEAD


@pytest.mark.parametrize("step_s", [-1e6, 1e-6, 1e6], ids=["set back", "later", "set forward"])
def test_any_other_beat_is_a_sign_whatever_its_clock_says(watched: Watched, step_s: float) -> None:
    watched.look(0.5)
    watched.beat_s += step_s
    assert watched.look(0.5) is Verdict.ALIVE
    assert watched.look(0.5) is Verdict.ALIVE  # and it stays one


def test_the_log_that_grows_is_a_sign(watched: Watched) -> None:
    watched.look(0.5)
    watched.head += 1
    assert watched.look(0.5) is Verdict.ALIVE


def test_a_database_that_was_away_for_all_makes_nobody_dead(watched: Watched) -> None:
    """Nor does a watcher that was stopped: the watched one needs its time to be heard again."""
    watched.look(0.5)
    assert watched.look(100.0) is Verdict.DOUBT
    assert watched.watch.silent_s == 3.0
    watched.beat_s += 1
    assert watched.look(0.5) is Verdict.ALIVE

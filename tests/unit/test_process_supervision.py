"""When processes may begin again, and which are stopped: the policy, without any process."""

from collections import Counter
from pathlib import Path

import pytest

from actors.supervision import RestartPolicy
from runtime.cluster.process_supervision import ProcessSupervision, Stop, policy_of
from runtime.process.leave import AT_ONCE, Leave
from runtime.settings.settings import ConfigurationError, Settings
from runtime.topology.names import ProcessKind

HOST, WRITER = ProcessKind.POOLED_HOST, ProcessKind.WRITER
POLICY = RestartPolicy(intensity=3, period_s=10.0, backoff_s=0.1, max_backoff_s=2.0, jitter=0.0)


class Ends:
    """Processes that end, of a directory whose clock a test sets; a rest is over at once."""

    def __init__(self, *hosts: str, policy: RestartPolicy = POLICY) -> None:
        self.hosts = set(hosts)  #: that have shards
        self.now_s = 100.0
        self.stops: list[Stop] = []
        self.failing = False  #: stops do not come about
        self.counted: Counter[str] = Counter()
        self._marks = 0
        self.supervision = ProcessSupervision(
            policy,
            now_s=lambda: self.now_s,
            chance=lambda: 0.5,
            in_its_place=lambda host: host in self.hosts and bool(self.hosts - {host}),
            stop=self._stop,
            count=lambda kind, became: self.counted.update([became]),
        )

    def end(self, name: str, kind: ProcessKind = HOST, *, lived_s: float = 0.0) -> Leave:
        """It lived so long since it began last, and has ended; when it may begin again."""
        self.now_s += lived_s
        self._marks += 1
        leave = self.supervision.begins_again(name, kind, self._marks.to_bytes(8, "big"))
        if name in self.hosts or not self.stops:  # one that is stopped ends meanwhile
            self.now_s += leave.rest_s
        return leave

    def _stop(self, stop: Stop) -> None:
        self.stops.append(stop)
        if not self.failing:
            self.hosts.discard(stop.host)


def test_the_first_restart_is_at_once_and_further_ones_behind_rests_that_grow() -> None:
    ends = Ends("host-0", "host-1")
    rests = [ends.end("host-0").rest_s for _ in range(3)]
    assert rests == [0.0, pytest.approx(0.2), pytest.approx(0.4)]
    assert ends.stops == []
    assert ends.counted == {"restarted": 1, "rested": 2}


def test_who_has_lived_for_a_period_begins_at_once_again() -> None:
    ends = Ends("host-0", "host-1")
    assert [ends.end("host-0", lived_s=10.0) for _ in range(20)] == [AT_ONCE] * 20


def test_each_process_is_counted_by_itself() -> None:
    ends = Ends("host-0", "host-1")
    assert [ends.end(name) for name in ("host-0", "host-1", "writer")] == [AT_ONCE] * 3


def test_an_incarnation_that_asks_several_times_is_counted_once() -> None:
    ends = Ends("host-0", "host-1")
    for _ in range(10):
        assert ends.supervision.begins_again("host-0", HOST, b"the same") is AT_ONCE
    assert ends.counted == {"restarted": 1}


def test_incarnations_that_ask_in_turn_are_counted_once_each() -> None:
    ends = Ends("host-0", "host-1")
    asked = [ends.supervision.begins_again("host-0", HOST, mark) for mark in (b"a", b"b") * 10]
    assert asked == asked[:2] * 10
    assert (ends.counted, ends.stops) == ({"restarted": 1, "rested": 1}, [])


def test_what_ended_long_ago_is_forgotten() -> None:
    ends = Ends("host-0", "host-1")
    for number in range(1_000):
        ends.end(f"meter/{number}", ProcessKind.DEDICATED_HOST, lived_s=1.0)
    kept = (ends.supervision._restarts, ends.supervision._told)
    assert [len(each) for each in kept] == [POLICY.period_s, POLICY.period_s]


def test_a_host_beyond_its_limit_is_stopped_where_others_have_shards() -> None:
    ends = Ends("host-0", "host-1")
    leaves = [ends.end("host-0") for _ in range(4)]
    assert ends.stops == [Stop("host-0", "it has ended 4 times within 10 s")]
    # It is ended by then; if that fails, it begins again all the same.
    assert leaves[-1].rest_s == pytest.approx(10.0)
    assert "stopped" in leaves[-1].why
    assert ends.counted["stopped"] == 1


def test_the_last_host_rests_and_is_started_again_for_ever() -> None:
    ends = Ends("host-0")
    leaves = [ends.end("host-0") for _ in range(50)]
    assert ends.stops == []
    assert max(leave.rest_s for leave in leaves) <= POLICY.max_backoff_s
    assert "no other process can do" in leaves[3].why
    assert leaves[3].rest_s == pytest.approx(2.0)


def default_policy() -> RestartPolicy:
    """Its longest rests leave fewer ends in a period than its limit."""
    return policy_of(Settings.load(None, environ={}).actor_system)


def test_a_host_that_rests_as_the_last_one_is_stopped_once_another_one_has_shards() -> None:
    ends = Ends("host-0", policy=default_policy())
    for _ in range(20):
        ends.end("host-0", lived_s=1.3)
    assert ends.stops == []
    ends.hosts.add("host-1")
    ends.end("host-0", lived_s=1.3)
    assert ends.stops == [Stop("host-0", "it has ended 21 times in a row")]


def test_a_stop_that_has_not_come_about_is_tried_again_when_it_ends_again() -> None:
    ends = Ends("host-0", "host-1", policy=default_policy())
    ends.failing = True
    for _ in range(8):
        ends.end("host-0", lived_s=1.3)
    assert len(ends.stops) == 3


def test_an_heir_is_stopped_when_it_still_ends_much_later() -> None:
    ends = Ends("host-0", "host-1", "host-2", policy=default_policy())
    for _ in range(6):
        ends.end("host-0", lived_s=1.3)
    until_s = ends.now_s + ProcessSupervision.HEIR_S
    while ends.now_s < until_s + 20.0:
        ends.end("host-1", lived_s=1.3)
        if ends.now_s < until_s - 20.0:
            assert [stop.host for stop in ends.stops] == ["host-0"]
    assert "host-1" in {stop.host for stop in ends.stops}


def test_who_was_beyond_its_limit_and_has_lived_for_a_period_begins_at_once_again() -> None:
    ends = Ends("host-0")
    for _ in range(6):
        ends.end("host-0")
    assert ends.end("host-0", lived_s=10.0) is AT_ONCE
    assert ends.end("host-0").why == "it has ended 2 times in a row"


def test_who_has_nobody_in_its_place_rests_and_is_started_again_for_ever() -> None:
    ends = Ends("host-0", "host-1")
    leaves = [ends.end("writer", WRITER) for _ in range(50)]
    assert ends.stops == []
    assert all(leave.rest_s for leave in leaves[1:])


def test_who_begins_to_end_once_it_has_the_shards_of_a_stopped_host_is_not_stopped() -> None:
    ends = Ends("host-0", "host-1", "host-2")
    for _ in range(4):
        ends.end("host-0")
    leaves = [ends.end("host-1", lived_s=0.5) for _ in range(6)]
    assert [stop.host for stop in ends.stops] == ["host-0"]
    assert "took over" in leaves[3].why
    # Much later it has nothing to do with that.
    ends.now_s += ProcessSupervision.HEIR_S
    for _ in range(4):
        ends.end("host-1")
    assert [stop.host for stop in ends.stops] == ["host-0", "host-1"]


def test_a_host_that_is_started_again_is_no_heir_of_itself() -> None:
    ends = Ends("host-0", "host-1")
    for _ in range(2):
        for _ in range(4):
            ends.end("host-0", lived_s=0.5)
        ends.hosts.add("host-0")
        ends.supervision.begins_anew("host-0")
    assert [stop.host for stop in ends.stops] == ["host-0", "host-0"]


def test_hosts_that_had_ended_once_before_are_not_stopped_one_after_the_other() -> None:
    ends = Ends(*(f"host-{number}" for number in range(6)), policy=default_policy())
    for number in range(6):
        ends.end(f"host-{number}")
    for number in range(6):
        for _ in range(8):
            if f"host-{number}" in ends.hosts:
                ends.end(f"host-{number}", lived_s=1.3)
    assert [stop.host for stop in ends.stops] == ["host-0"]


def test_hosts_that_end_side_by_side_are_stopped_as_long_as_another_is_left() -> None:
    ends = Ends("host-0", "host-1", "host-2")
    for _ in range(4):
        for host in ("host-0", "host-1"):
            ends.end(host)
    assert [stop.host for stop in ends.stops] == ["host-0", "host-1"]


def test_who_is_started_by_somebody_counts_from_nought() -> None:
    ends = Ends("host-0", "host-1")
    for _ in range(3):
        ends.end("host-0")
    ends.supervision.begins_anew("host-0")
    assert ends.end("host-0") is AT_ONCE


def test_the_policy_is_that_of_the_settings() -> None:
    chosen = {"process_restarts": 7, "process_period_ms": 500, "process_backoff_ms": 3_000}
    chosen["process_max_backoff_ms"] = 3_001
    settings = Settings.load(None, environ={}, actor_system=chosen)
    policy = policy_of(settings.actor_system)
    assert (policy.intensity, policy.period_s, policy.backoff_s) == (7, 0.5, 3.0)
    assert policy.max_backoff_s == 3.001


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (
            {"process_backoff_ms": 300, "process_max_backoff_ms": 299},
            "argument: actor_system.process_max_backoff_ms: found 299, expected at least "
            "process_backoff_ms, which is 300",
        ),
        (
            {"process_max_backoff_ms": 99},
            "argument: actor_system.process_max_backoff_ms: found 99, expected at least "
            "process_backoff_ms, which is 100",
        ),
        (
            {"process_backoff_ms": 20_000},
            "argument: actor_system.process_backoff_ms: found 20000, expected at most "
            "process_max_backoff_ms, which is 10000 unless said",
        ),
    ],
)
def test_a_longest_rest_that_is_shorter_than_the_first_is_refused(
    chosen: dict[str, int], said: str, tmp_path: Path
) -> None:
    (tmp_path / "thornback.toml").touch()  # the checkout's own file says some of it
    with pytest.raises(ConfigurationError) as refused:
        Settings.load(tmp_path / "thornback.toml", environ={}, actor_system=chosen)
    assert str(refused.value) == said


def test_a_longest_rest_may_be_the_first_one() -> None:
    chosen = {"process_backoff_ms": 300, "process_max_backoff_ms": 300}
    settings = Settings.load(None, environ={}, actor_system=chosen)
    assert policy_of(settings.actor_system).max_backoff_s == 0.3

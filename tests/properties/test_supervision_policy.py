"""What becomes of failing actors, decided over any history of failures: in virtual time, with a
seeded chance. The limits are said again here, by brute force over the whole history."""

from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.supervision import (
    NEVER,
    WITHOUT_LIMIT,
    RestartPolicy,
    Restarts,
    Scope,
    Strategy,
    Supervision,
    judge,
)

seconds = st.floats(0.01, 20.0)
gaps = st.lists(st.tuples(st.floats(0.0, 30.0), st.booleans()), max_size=40)


@st.composite
def policies(draw: st.DrawFn) -> RestartPolicy:
    backoff_s = draw(st.one_of(st.just(0.0), seconds))
    return RestartPolicy(
        intensity=draw(st.one_of(st.none(), st.integers(0, 6))),
        period_s=draw(seconds),
        backoff_s=backoff_s,
        max_backoff_s=backoff_s + draw(st.floats(0.0, 30.0)),
        jitter=draw(st.floats(0.0, 1.0)),
    )


def run(
    supervision: Supervision, failures: list[tuple[float, bool]], seed: int
) -> list[tuple[float, Any, Restarts]]:
    """An actor that fails again so long after it is back, until it is stopped."""
    chance, now_s, remembered = Random(seed), 1.0, NEVER
    told = []
    for gap_s, spoilt in failures:
        now_s += gap_s
        verdict, remembered = judge(
            supervision, remembered, now_s, spoilt=spoilt, chance=chance.random()
        )
        told.append((now_s, verdict, remembered))
        if verdict.strategy is Strategy.STOP:
            break
        now_s += verdict.rest_s
    return told


@given(policies(), gaps, st.integers(0, 2**32))
def test_no_period_has_more_restarts_than_the_intensity_and_only_the_next_failure_stops(
    policy: RestartPolicy, failures: list[tuple[float, bool]], seed: int
) -> None:
    restarts: list[float] = []
    for now_s, verdict, _ in run(Supervision(policy=policy), failures, seed):
        within = [at_s for at_s in restarts if now_s - at_s < policy.period_s]
        full = policy.intensity is not None and len(within) >= policy.intensity
        assert (verdict.strategy is Strategy.STOP) == full == verdict.exhausted
        if not full:
            assert verdict.strategy is Strategy.RESTART
            restarts.append(now_s)


@given(policies(), gaps, st.integers(0, 2**32))
def test_rests_double_up_to_the_longest_and_begin_anew_when_it_has_worked_for_a_period(
    policy: RestartPolicy, failures: list[tuple[float, bool]], seed: int
) -> None:
    in_a_row, back_s = 0, None
    for now_s, verdict, remembered in run(Supervision(policy=policy), failures, seed):
        if verdict.strategy is Strategy.STOP or policy == WITHOUT_LIMIT:
            assert verdict.rest_s == 0.0
            continue
        worked = back_s is None or now_s - back_s >= policy.period_s
        in_a_row = 0 if worked else in_a_row + 1
        longest_s = policy.max_backoff_s / (1 + policy.jitter)
        wanted_s = min(policy.backoff_s * 2.0**in_a_row, longest_s)
        if not policy.backoff_s:
            wanted_s = 0.0
        assert wanted_s * (1 - policy.jitter) - 1e-9 <= verdict.rest_s
        assert verdict.rest_s <= wanted_s * (1 + policy.jitter) + 1e-9
        assert verdict.rest_s <= policy.max_backoff_s
        back_s = now_s + verdict.rest_s
        assert remembered.back_s == back_s


@given(policies(), gaps, st.integers(0, 2**32))
def test_what_is_remembered_is_bounded(
    policy: RestartPolicy, failures: list[tuple[float, bool]], seed: int
) -> None:
    for _, _, remembered in run(Supervision(policy=policy), failures, seed):
        assert len(remembered.at_s) <= max(policy.intensity or 0, 1)


@given(policies(), gaps, st.integers(0, 2**32))
def test_one_seed_has_one_history(
    policy: RestartPolicy, failures: list[tuple[float, bool]], seed: int
) -> None:
    supervision = Supervision(policy=policy)
    assert run(supervision, failures, seed) == run(supervision, failures, seed)


@given(st.sampled_from(list(Strategy)), st.sampled_from(list(Scope)), st.booleans())
def test_each_strategy_is_what_happens_but_nobody_resumes_with_an_event_applied_half(
    strategy: Strategy, scope: Scope, spoilt: bool
) -> None:
    supervision = Supervision(strategy=strategy.value, scope=scope.value)
    verdict, _ = judge(supervision, NEVER, 1.0, spoilt=spoilt, chance=0.5)
    resumes = strategy is Strategy.RESUME and spoilt
    assert verdict.strategy is (Strategy.RESTART if resumes else strategy)
    assert supervision.group == (scope is Scope.ALL_FOR_ONE)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"intensity": -1}, "intensity is a count of at least 0, or None, not -1"),
        ({"intensity": 2.5}, "intensity is a count"),
        ({"intensity": True}, "intensity is a count"),
        ({"period_s": 0}, "period_s is seconds, more than 0"),
        ({"period_s": float("nan")}, "period_s"),
        ({"backoff_s": -0.1}, "backoff_s is seconds, or 0"),
        (
            {"backoff_s": 20.0},
            "max_backoff_s is seconds, and no less than backoff_s, which is 20.0, not 10.0, its "
            "default: say both$",
        ),
        ({"backoff_s": 20.0, "max_backoff_s": 3.0}, "which is 20.0, not 3.0$"),
        ({"jitter": 1.5}, "jitter is a part, from 0 to 1"),
        ({"jitter": "much"}, "jitter"),
    ],
)
def test_what_is_no_policy_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RestartPolicy(**wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"strategy": "reboot"}, "strategy is one of 'restart', 'resume', 'stop', 'escalate', not"),
        ({"scope": "rest-for-one"}, "scope is one of 'one-for-one', 'all-for-one', not"),
        ({"policy": 3}, r"policy is a RestartPolicy\(...\), not 3"),
    ],
)
def test_what_is_no_supervision_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Supervision(**wrong)


@given(policies(), st.integers(0, 100), st.floats(0, 1))
def test_no_rest_is_longer_than_the_longest(
    policy: RestartPolicy, before: int, chance: float
) -> None:
    assert policy.rest_s(before, chance) <= policy.max_backoff_s


def test_the_longest_rests_are_left_to_chance_as_well() -> None:
    policy = RestartPolicy(backoff_s=0.2, max_backoff_s=0.2, jitter=1.0)
    rests = {policy.rest_s(9, chance / 10) for chance in range(11)}
    assert len(rests) == 11
    assert max(rests) == 0.2

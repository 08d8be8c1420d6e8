"""Who has been silent for too long: ten seconds here, with a look each second."""

from runtime.processing.silence import Silence

ANN, BOB = 7, 2**62


def looks(silence: Silence, *at_s: float, sign: int = 1) -> list[set[int]]:
    """Who is out at each of these looks, which see the same sign of Ann, and another one of Bob."""
    return [silence.see({ANN: sign, BOB: int(now_s * 100)}, now_s) for now_s in at_s]


def test_who_gives_no_sign_for_so_long_is_out_and_nobody_else() -> None:
    seen = looks(Silence(10.0, 1.0), *range(12))
    assert seen == [set()] * 10 + [{ANN}] * 2


def test_another_sign_begins_it_anew() -> None:
    silence = Silence(10.0, 1.0)
    assert looks(silence, *range(10)) == [set()] * 10
    assert looks(silence, *range(10, 20), sign=2) == [set()] * 10
    assert looks(silence, 20.0, sign=2) == [{ANN}]


def test_who_comes_back_is_heard_of_anew() -> None:
    silence = Silence(10.0, 1.0)
    looks(silence, *range(10))
    assert silence.see({BOB: 1}, 10.0) == set()
    assert looks(silence, 11.0, 12.0) == [set()] * 2


def test_a_look_that_failed_begins_it_anew() -> None:
    silence = Silence(10.0, 1.0)
    assert looks(silence, *range(10)) == [set()] * 10
    silence.failed()
    assert looks(silence, *range(100, 110)) == [set()] * 10
    assert looks(silence, 110.0) == [{ANN}]


def test_of_a_long_pause_of_its_own_two_looks_count() -> None:
    """It hung, and the other one with it, perhaps."""
    silence = Silence(10.0, 1.0)
    assert looks(silence, 0.0, 1_000.0, 2_000.0) == [set()] * 3
    assert looks(silence, 2_001.0, 2_002.0, 2_003.0, 2_004.0, 2_005.0) == [set()] * 5
    assert looks(silence, 2_006.0) == [{ANN}]


def test_where_each_look_is_late_a_dead_one_is_out_after_five() -> None:
    seen = looks(Silence(10.0, 1.0), *(30.0 * number for number in range(6)))
    assert seen == [set()] * 5 + [{ANN}]


def test_a_hiccup_now_and_then_keeps_nobody_in() -> None:
    at_s = [number + 2 * (number // 5) for number in range(11)]
    assert looks(Silence(10.0, 1.0), *at_s)[-1] == {ANN}

"""The checker reads what drivers and subscribers have written, also of those who were killed."""

from pathlib import Path

from tests.chaos.history import Seen, Told
from tests.chaos.reading import seen_in, sendings_in

SENT = (
    '{"number": %d, "id": "%032x", "source": "counter/c", "message_type": "add",'
    ' "data": {"amount": 3}, "at_ns": %d}\n'
)
ANSWERED = '{"number": 0, "outcome": "acknowledged", "at_ns": 9, "events": [["0a", 7, 2]]}\n'


def test_what_a_driver_sent_is_read_with_what_it_heard(tmp_path: Path) -> None:
    file = tmp_path / "driver-0-1.jsonl"
    file.write_text(SENT % (0, 1, 5) + SENT % (1, 2, 6) + ANSWERED)

    first, second = sendings_in(tmp_path)

    assert (first.driver, first.acknowledged, first.sent_ns, first.answered_ns) == (
        "driver-0-1", True, 5, 9,
    )  # fmt: skip
    assert first.events == [Told(id=b"\x0a", position=7, version=2)]
    assert (second.outcome, second.data) == (None, {"amount": 3})


def test_a_line_that_was_not_finished_has_not_happened(tmp_path: Path) -> None:
    (tmp_path / "driver-0-0.jsonl").write_text(SENT % (0, 1, 5) + ANSWERED[:-10])

    [only] = sendings_in(tmp_path)

    assert only.outcome is None


def test_the_readers_of_a_subscription_come_in_their_order(tmp_path: Path) -> None:
    for number in range(11):
        (tmp_path / f"ledger-{number}.jsonl").write_text(
            f'{{"id": "0b", "position": {number}}}\n{{"id":'
        )

    assert seen_in(tmp_path) == {
        "ledger": [[Seen(position=number, id=b"\x0b")] for number in range(11)]
    }

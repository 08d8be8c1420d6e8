"""A thousand bad requests; `python -m tests.fuzz` sends a hundred thousand."""

import pytest

from tests.fuzz.answers import answers_of, told
from tests.fuzz.fuzzing import fuzz
from tests.fuzz.on_ray import TargetOnRay
from tests.fuzz.target import target
from tests.unit.web_devices import Boiler, Heat

HEAD = b"HTTP/1.1 500 X\r\nContent-Type: application/problem+json\r\nContent-Length: 2\r\n\r\n{}"


def test_bad_requests_end_no_process_and_store_nothing_that_is_not_answered() -> None:
    with target() as against:
        fuzz(against, 1_000, 1)
        against.judge()
        assert against.answers[200] > 20, "hardly one of them was right"
        assert len(against.answers) > 6, "all of them are wrong in the same way"


def test_what_is_stored_and_was_not_answered_is_found() -> None:
    with target() as against:
        against.system.actor(Boiler, "a").ask(Heat(celsius=5)).result()
        with pytest.raises(AssertionError, match="stored, and not answered"):
            against.judge()


def test_a_process_that_was_started_anew_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with target() as against:
        of_processes = TargetOnRay(against.system, {})
        of_processes.judge()
        monkeypatch.setattr(of_processes, "_pids", lambda: {"host-0": 1})
        with pytest.raises(AssertionError, match="a process has ended"):
            of_processes.judge()


def test_an_answer_that_may_not_be_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def exchange(*_: object) -> bytes:
        return HEAD

    monkeypatch.setattr("tests.fuzz.target.exchange", exchange)
    with target() as against, pytest.raises(AssertionError, match="500"):
        against.send([b"anything"])


def test_answers_are_read_as_they_come() -> None:
    chunked = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
        b'1b\r\n{"line":1,"repeat":false}\n{\r\n'
        b'28\r\n"line":2,"problem":{"status":409},"x":1}\n\r\n0\r\n\r\n'
    )
    first, second = answers_of(chunked + HEAD)
    assert [status for status, _ in told(first)] == [200, 409]
    assert (first.whole, second.status, second.whole) == (True, 500, True)

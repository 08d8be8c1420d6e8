"""What Ray tells every program is in its log, and not among what it prints."""

import inspect
import logging

import pytest
import ray._private.worker

from runtime.cluster.ray_words import into_the_log

USUAL = (
    "WARNING: 8 PYTHON worker processes have been started on node: 8e4b with address: 127.0.0.1, "
)
USUAL += "which is 4x the maximum expected startup concurrency (2)."


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program has joined Ray, whose function is given back afterwards."""
    before = ray._private.worker.print_to_stdstream
    monkeypatch.setattr(ray._private.worker, "print_to_stdstream", before)
    into_the_log()


@pytest.mark.usefixtures("words")
@pytest.mark.parametrize(
    ("line", "level"), [(USUAL, logging.INFO), ("a worker was killed", logging.WARNING)]
)
def test_it_is_in_the_log_and_not_on_standard_output(
    line: str, level: int, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    said = {"lines": [line], "pid": "raylet", "is_err": False}
    with caplog.at_level(logging.INFO, "thornback.ray"):
        ray._private.worker.print_to_stdstream(said, ignore_prefix=False)
    assert capsys.readouterr().out == ""
    assert [(each.levelno, each.getMessage()) for each in caplog.records] == [
        (level, f"Ray says (raylet): {line}")
    ]


def test_ray_prints_such_words_by_the_function_that_is_replaced() -> None:
    assert "print_to_stdstream(" in inspect.getsource(ray._private.worker.listen_error_messages)

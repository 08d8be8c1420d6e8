"""Where nobody sees a bar, a command prints nothing in its place."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from jobs import check, verify

Bar = AbstractContextManager[Callable[[int], None]]


@pytest.mark.parametrize(
    "shown",
    [
        lambda: verify._shown(3, quiet=False),
        lambda: check._Shown(quiet=False).of("charger", 3),
    ],
)
def test_a_bar_leaves_no_line_where_there_is_no_terminal(
    shown: Callable[[], Bar], capsys: pytest.CaptureFixture[str]
) -> None:
    with shown() as progress:
        progress(3)
    assert capsys.readouterr().err == ""

"""A program and its system are of one release, or the program is told so at once."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import RayTaskError

from runtime.driver.directory_link import called, check_understood
from runtime.errors import AnotherRelease, SystemNotFound
from runtime.topology.release import RELEASE, check_release
from runtime.wire.error_codec import decode_error, encode_error

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_release_is_that_of_the_project() -> None:
    assert tomllib.loads(PROJECT.read_text())["project"]["version"] == RELEASE


def test_whoever_is_of_the_same_release_is_let_in() -> None:
    check_release("n", RELEASE)


def test_whoever_is_of_another_is_told_both() -> None:
    with pytest.raises(AnotherRelease) as refused:
        check_release("n", "0.0.9")
    assert (refused.value.theirs, refused.value.ours) == (RELEASE, "0.0.9")
    assert str(decode_error(encode_error(refused.value))) == str(refused.value)


def test_whoever_does_not_say_of_which_is_told_in_an_error_that_it_knows() -> None:
    with pytest.raises(SystemNotFound, match=f"one runs there that is of release {RELEASE}"):
        check_release("n", "")


class OlderDirectory:
    """Ray holds a call against the methods that a directory has."""

    join: Any = property(lambda self: self)

    def remote(self, timeout_s: float) -> None:
        """Takes a time limit, and nothing else."""


@pytest.mark.parametrize(("method", "arguments"), [("join", (5.0, RELEASE)), ("shards", ())])
def test_a_call_that_a_directory_does_not_know_is_one_of_another_release(
    method: str, arguments: tuple[Any, ...]
) -> None:
    with pytest.raises(AnotherRelease, match="is of another release of Thornback"):
        called(OlderDirectory(), method, *arguments)


def test_a_directory_that_does_not_know_the_call_is_of_another_release() -> None:
    """Ray may have taken the methods from this program's own code; then the directory says it."""
    try:
        OlderDirectory().remote(5.0, RELEASE)  # type: ignore[call-arg]
    except TypeError as error:
        with pytest.raises(AnotherRelease):
            check_understood(RayTaskError("remote", "", error), "remote")
    check_understood(RayTaskError("join", "", TypeError("'int' object is not iterable")), "join")
    check_understood(RayTaskError("join", "", ValueError("Directory.join() is away")), "join")

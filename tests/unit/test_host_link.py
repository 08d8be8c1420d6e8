"""A driver's way to one host: why it is away is said in errors of ours."""

from collections.abc import Iterable
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError

from actors.actor import Actor
from runtime.driver.host_link import HostLink
from runtime.errors import HostUnavailable, StartFailed, SystemDraining
from store.errors import StoreUnavailable, SystemReplaced
from tests.unit.sending import HOST, PlayedHost


def _failing(error: Exception) -> HostLink:
    """A link to a dedicated host, for which the directory raises this."""

    async def find(_: Iterable[type[Actor[Any]]]) -> Any:
        raise RayTaskError("locate", "a traceback", error).as_instanceof_cause()

    return HostLink(HOST, find, _reached, _nothing)


async def _reached() -> PlayedHost:
    return PlayedHost()


async def _nothing(_: type[Actor[Any]]) -> None:
    """Its hosts have the class."""


async def test_why_a_host_does_not_start_is_said_as_the_directory_says_it() -> None:
    with pytest.raises(StartFailed) as failed:
        await _failing(StartFailed(HOST, "there is no database")).ensure_found(())
    assert type(failed.value) is StartFailed
    assert failed.value.args == (HOST, "there is no database")


async def test_what_else_the_directory_says_is_the_reason_why_a_host_is_away() -> None:
    with pytest.raises(HostUnavailable) as failed:
        await _failing(SystemDraining("thornback")).ensure_found(())
    assert type(failed.value) is HostUnavailable
    assert failed.value.args == (HOST, str(SystemDraining("thornback")))


@pytest.mark.parametrize(
    "said", [SystemReplaced("database", "another system"), StoreUnavailable("database", "refused")]
)
async def test_that_the_log_is_away_is_raised_as_the_directory_says_it(
    said: StoreUnavailable,
) -> None:
    with pytest.raises(StoreUnavailable) as failed:
        await _failing(said).ensure_found(())
    assert type(failed.value) is type(said)
    assert failed.value.args == said.args


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ActorDiedError(), "its process has ended"),
        (ActorUnavailableError("it is away", None), "its process does not answer, or has ended"),
    ],
    ids=["ended", "away"],
)
async def test_that_a_process_is_away_is_said_in_words(error: Exception, said: str) -> None:
    async def find(_: Iterable[type[Actor[Any]]]) -> Any:
        raise error

    with pytest.raises(HostUnavailable) as failed:
        await HostLink(HOST, find, _reached, _nothing).ensure_found(())
    assert failed.value.args == (HOST, said)

"""A pytest plugin: systems to test against, as fixtures. It is there wherever Thornback is
installed; docs/howto/test.md says when to use which.

- `scenario`: the test kit for one actor; that no rejection was overlooked is checked at the end.
- `memory_system`: a system in this process, with its log in memory: a hundredth of a second.
- `postgres_system`: the same over a database of its own, in a real PostgreSQL.
- `ray_system`: the whole thing, on a Ray that is started once a session: seconds.

And `--simulation-seed N` runs one night of every simulation (thornback.simulation).

Each test has a system, and a log, of its own. Settings are those of the project's file, not of
the environment; a test says what shall differ, section by section:

    @pytest.mark.thornback(actor_system={"supervisor_strategy": "stop"})

An ask whose reply a test does not look at, though it has failed or is unanswered, is warned of
(UnheardReply).

Neither Ray nor anything of the runtime is imported until a fixture that needs it is used.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from thornback import Actor, Scenario

if TYPE_CHECKING:
    from runtime.system import ActorSystem

S = TypeVar("S")

Sections = Mapping[str, Mapping[str, Any]]


def pytest_addoption(parser: pytest.Parser) -> None:
    """One night of a simulation (thornback.simulation), which has failed, can be run alone."""
    parser.addoption(
        "--simulation-seed", type=int, default=None, metavar="N",
        help="have every simulation run the night of this seed alone",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and the seed that is asked for."""
    if (seed := config.getoption("--simulation-seed")) is not None:
        from thornback.simulation.chosen_seed import choose_seed  # noqa: PLC0415 - nobody else asks

        choose_seed(seed)
    config.addinivalue_line(
        "markers", "thornback(**sections): settings of this test's system, section by section"
    )


class Scenarios:
    """Begins scenarios, and knows all that it began."""

    def __init__(self) -> None:
        self._begun: list[Scenario[Any]] = []

    def __call__(self, actor: type[Actor[S]], name: str = "scenario") -> Scenario[S]:
        """A new scenario of an actor."""
        begun = Scenario(actor, name)
        self._begun.append(begun)
        return begun

    def end(self) -> None:
        """Raises AssertionError if any ended with a rejection that nobody expected."""
        for scenario in self._begun:
            scenario.end()


@pytest.fixture
def scenario() -> Iterator[Scenarios]:
    """Begins a Scenario: `scenario(Boiler)`. A last command that was rejected fails the test,
    unless the test says so with `then_rejected`."""
    scenarios = Scenarios()
    yield scenarios
    scenarios.end()


@pytest.fixture
def memory_system(request: pytest.FixtureRequest) -> Iterator["ActorSystem"]:
    """A system in this process with its log in memory. It ends with the test."""
    from thornback.testing.in_process import InProcessSystem  # noqa: PLC0415 - brings Ray's errors
    from thornback.testing.settings import small_settings  # noqa: PLC0415

    settings = small_settings(_sections(request), type="memory")
    with _unheard_replies_warned_of(), InProcessSystem(settings) as system:
        yield system


@pytest.fixture
def postgres_system(
    request: pytest.FixtureRequest, thornback_database: str
) -> Iterator["ActorSystem"]:
    """A system in this process over a database of its own. It ends with the test."""
    from thornback.testing.in_process import InProcessSystem  # noqa: PLC0415 - brings Ray's errors
    from thornback.testing.settings import small_settings  # noqa: PLC0415

    settings = small_settings(_sections(request), connection_string=thornback_database)
    with _unheard_replies_warned_of(), InProcessSystem(settings) as system:
        yield system


@pytest.fixture
def ray_system(
    request: pytest.FixtureRequest, thornback_ray: None, thornback_database: str
) -> Iterator["ActorSystem"]:
    """A system of Ray actors in a namespace and over a database of its own, as in production.
    It is drained after the test."""
    from runtime.system import ActorSystem  # noqa: PLC0415 - brings Ray
    from thornback.testing.settings import small_settings  # noqa: PLC0415

    settings = small_settings(_sections(request), connection_string=thornback_database)
    with _unheard_replies_warned_of(), ActorSystem.launch(settings) as system:
        yield system
        first = getattr(system, "parts", (system,))[0]  # of several partitions it ends last
        if not first.connection.closed:  # the test may have drained it
            problems = system.drain().result(timeout_s=60.0).problems
            assert not problems, problems


@pytest.fixture(scope="session")
def thornback_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL server that lives as long as the session."""
    from store.embedded.server import EmbeddedPostgres  # noqa: PLC0415 - nobody else needs it

    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    try:
        yield server.start()
    finally:
        server.destroy()


@pytest.fixture
def thornback_database(thornback_postgres: str) -> Iterator[str]:
    """The URL of an empty database of that server, dropped after the test."""
    from thornback.testing.databases import create_database, drop_database  # noqa: PLC0415

    url = create_database(thornback_postgres)
    yield url
    drop_database(url)


@pytest.fixture(scope="session")
def thornback_ray() -> Iterator[None]:
    """A Ray that this process is connected to: the one that it is connected to already, or a
    small one of its own that ends with the session."""
    from thornback.testing.local_ray import local_ray  # noqa: PLC0415 - brings Ray

    with local_ray():
        yield


class UnheardReply(pytest.PytestWarning):
    """An ask has failed, or was unanswered, and the test did not look at its reply: a `.result()`
    or an `await` is missing."""


class _Kept(logging.Handler):
    """Keeps what is said of replies that nobody looked at."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if str(record.msg).startswith("an ask of"):
            self.said.append(record.getMessage())


@contextmanager
def _unheard_replies_warned_of() -> Iterator[None]:
    """Warn at the end of whatever the driver has logged of replies that nobody looked at: a log is
    not read where a test passes."""
    from runtime.driver.outgoing import say_unheard_at_exit  # noqa: PLC0415 - brings Ray's errors

    say_unheard_at_exit()  # what failed before is not this test's
    kept, logger = _Kept(), logging.getLogger("thornback.driver")
    logger.addHandler(kept)
    try:
        yield
    finally:
        say_unheard_at_exit()  # also of what is kept, and can still be looked at
        logger.removeHandler(kept)
        for said in kept.said:
            warnings.warn(UnheardReply(said), stacklevel=1)


def _sections(request: pytest.FixtureRequest) -> Sections:
    marker = request.node.get_closest_marker("thornback")
    return marker.kwargs if marker is not None else {}

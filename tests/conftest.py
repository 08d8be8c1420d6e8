"""What all tests share: one PostgreSQL a session and a database a test, as the project's own
pytest plugin has them."""

import os
import signal

import hypothesis
import pytest

# pytest explains the asserts of test modules only, unless told of others.
pytest.register_assert_rewrite("tests.contracts")

# A shell's background jobs ignore Ctrl-C, and so would the programs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Properties say what holds, not how fast: a busy machine fails none of them.
hypothesis.settings.register_profile(
    "project", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("project")


@pytest.fixture(scope="session")
def postgres_url(thornback_postgres: str) -> str:
    """The connection string of a server that lives as long as the session."""
    return thornback_postgres


@pytest.fixture
def database(thornback_database: str) -> str:
    """The connection string of an empty database, dropped afterwards."""
    return thornback_database


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests are run where that is asked for."""
    if "LONG_TEST" not in os.environ:
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="`make long-test` runs it"))

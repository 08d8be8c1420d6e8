"""A database that is away: one typed error while it lasts, and nothing to repair after it."""

import threading
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import ray

from runtime.driver.ref import ActorRef
from runtime.errors import LaunchFailed
from runtime.system import ActorSystem
from store.embedded.server import EmbeddedPostgres
from store.errors import StoreUnavailable
from tests.integration.devices import Add, Counter
from tests.integration.systems import (
    LIMIT_S,
    Collector,
    Launcher,
    assert_each_once_in_order,
    assert_log_is_whole,
    eventually,
    pids_of,
    stored,
    take,
)
from thornback.testing.databases import create_database

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


@pytest.fixture(scope="module")
def lasting(cluster: None, server: EmbeddedPostgres) -> Iterator[ActorSystem]:
    """One system for all the outages of this module: none of them may break it."""
    launcher = Launcher(lambda: create_database(server.start()))
    yield launcher(actor_system={"actor_timeout_ms": 1_000, "hosts": 2})
    launcher.drain_all()


@pytest.fixture
def system(lasting: ActorSystem, server: EmbeddedPostgres) -> Iterator[ActorSystem]:
    """A system on a server that the test may stop; afterwards it runs, and both work."""
    yield lasting
    server.start()
    for ref in refs_of(lasting):
        _asked_until_back(ref, uuid4())


def refs_of(system: ActorSystem, count: int = 8) -> list[ActorRef[Any]]:
    """Actors that no other test has spoken to."""
    return [system.actor(Counter, uuid4().hex) for _ in range(count)]


def test_an_ask_hears_of_the_store_and_the_same_system_works_on_afterwards(
    system: ActorSystem, server: EmbeddedPostgres
) -> None:
    refs = refs_of(system)
    commands = [uuid4() for _ in refs]
    for ref in refs:
        ref.ask(Add()).result(timeout_s=LIMIT_S)
    processes = pids_of(system)
    server.stop()
    for _ in range(2):
        replies = [
            ref.ask(Add(amount=10), id=command) for ref, command in zip(refs, commands, strict=True)
        ]
        for reply in replies:
            with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
                reply.result(timeout_s=LIMIT_S)
    server.start()
    for ref, command in zip(refs, commands, strict=True):
        assert _asked_until_back(ref, command) == 2
        assert ref.state().result(timeout_s=LIMIT_S).total == 11
    assert pids_of(system) == processes
    assert_log_is_whole(system)


def _asked_until_back(ref: ActorRef[Any], command: Any) -> int | None:
    """The version of the event; pooled connections may have to notice first."""

    def asked() -> int | None:
        try:
            return ref.ask(Add(amount=10), id=command).result(timeout_s=LIMIT_S)[0].version
        except StoreUnavailable:
            return None

    return eventually(asked)


def test_an_actor_out_of_memory_hears_of_the_store_too(
    system: ActorSystem, server: EmbeddedPostgres
) -> None:
    server.stop()
    for ref in refs_of(system, 2):  # to be loaded first, which needs the store as well
        with pytest.raises(StoreUnavailable):
            ref.ask(Add()).result(timeout_s=LIMIT_S)
        with pytest.raises(StoreUnavailable):
            ref.state().result(timeout_s=LIMIT_S)


def test_a_bulk_call_waits_the_outage_out_and_loses_nothing(
    system: ActorSystem, server: EmbeddedPostgres
) -> None:
    refs = refs_of(system)
    start = stored(system)
    collector = Collector(system.subscribe(after=0))
    before, after = threading.Event(), threading.Event()

    def commands() -> Iterator[tuple[ActorRef[Any], Add]]:
        for number in range(20_000):
            if number == 10_000:
                before.set()
            yield refs[number % len(refs)], Add()

    told: list[Any] = []
    teller = threading.Thread(target=lambda: told.append(system.tell_many(commands())))
    teller.start()
    assert before.wait(LIMIT_S)
    server.stop()
    after.wait(1.5)  # longer than an ask would be patient
    server.start()
    teller.join(LIMIT_S)
    assert (told[0].commands, told[0].failed, told[0].errors) == (20_000, 0, [])
    assert stored(system) == start + 20_000
    assert_log_is_whole(system)
    collector.wait_for(start + 20_000)
    assert_each_once_in_order(collector.close())


def test_a_bulk_call_gives_up_when_its_patience_is_over(
    system: ActorSystem, server: EmbeddedPostgres
) -> None:
    refs = refs_of(system)
    server.stop()
    told = system.tell_many(((ref, Add()) for ref in refs), patience_s=2.0)
    assert told.failed == len(refs)
    assert {type(error) for _, error in told.errors} == {StoreUnavailable}


def test_a_subscription_waits_for_the_log_and_goes_on(
    system: ActorSystem, server: EmbeddedPostgres
) -> None:
    (ref, *_) = refs_of(system)
    first = ref.ask(Add()).result(timeout_s=LIMIT_S)
    pid = pids_of(system)["bus"]
    server.stop()
    ray.kill(ray.get_actor("bus", namespace=system.namespace), no_restart=False)
    subscription = system.subscribe(
        sources=ref.source, after=0
    )  # neither bus nor log can say anything now
    eventually(lambda: pids_of(system).get("bus") not in (None, pid))
    server.start()
    assert take(subscription, 1) == first
    subscription.close()


def test_a_database_that_is_down_at_launch_fails_it_with_the_reason_and_leaves_nothing(
    launch: Launcher, server: EmbeddedPostgres, new_database: Callable[[], str]
) -> None:
    url = create_database(server.start())
    settings = launch.settings(event_store={"connection_string": url})
    server.stop()
    with pytest.raises(LaunchFailed, match=r"event store at 127\.0\.0\.1.* is not available"):
        ActorSystem.launch(settings)
    assert url.rpartition("@")[0].rpartition(":")[2] not in _launch_error(settings)
    assert _actors_in(settings.actor_system.namespace) == []
    server.start()
    assert launch.run(settings).status().result()  # the same namespace is free to be used


def _launch_error(settings: Any) -> str:
    with pytest.raises(LaunchFailed) as caught:
        ActorSystem.launch(settings)
    return str(caught.value)


def _actors_in(namespace: str) -> list[str]:
    named = ray.util.list_named_actors(all_namespaces=True)
    return [one["name"] for one in named if one["namespace"] == namespace]


@pytest.mark.parametrize(
    ("path", "reason"),
    [("no_such_database", "no_such_database"), ("", "127.0.0.1:1/x is not available")],
)
def test_a_wrong_address_fails_the_launch(
    launch: Launcher, new_database: Callable[[], str], path: str, reason: str
) -> None:
    url = new_database()
    wrong = f"{url.rpartition('/')[0]}/{path}" if path else "postgresql://x@127.0.0.1:1/x"
    with pytest.raises(LaunchFailed, match=reason):
        launch(event_store={"connection_string": wrong})

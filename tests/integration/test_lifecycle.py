"""Launching, connecting and draining: what starts, what is left, who may do it twice."""

import threading
from collections.abc import Callable

import psutil
import pytest
import ray

from runtime.errors import ConnectionClosed, DatabaseInUse, SystemNotFound
from runtime.system import ActorSystem
from store.errors import SystemReplaced
from tests.integration.devices import Add, Beacon, Counter
from tests.integration.systems import (
    LIMIT_S,
    Launcher,
    assert_log_is_whole,
    eventually,
    kill,
    pids_of,
    statuses_of,
    stored,
    take,
    url_of,
    writes_held_up,
)
from thornback.testing.databases import query

pytestmark = pytest.mark.integration


def test_launching_twice_is_harmless(launch: Launcher) -> None:
    settings = launch.settings()
    first = launch.run(settings)
    first.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)
    pids = pids_of(first)
    with ActorSystem.launch(settings) as second:
        assert pids_of(second) == pids
        (event,) = second.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)
    assert event.version == 2
    assert first.actor(Counter, "a").state().result(timeout_s=LIMIT_S).total == 2


def test_a_drained_system_leaves_nothing_but_its_log(
    launch: Launcher, new_database: Callable[[], str]
) -> None:
    url = new_database()
    settings = launch.settings(
        event_store={"connection_string": url},
        actor_system={"hosts": 2, "placement": {"beacon": "dedicated"}},
    )
    system = launch.run(settings)
    for number in range(20):
        system.actor(Counter, str(number)).tell(Add())
    system.actor(Beacon, "north").ask(Add()).result(timeout_s=LIMIT_S)
    pids = list(pids_of(system).values())
    assert len(pids) == 6  # directory, writer, bus, two hosts, and the dedicated one
    system.flush().result()
    outcome = launch.drain(system)
    flushed = [each.name for each in outcome.processes]
    assert (sorted(flushed[:-1]), flushed[-1]) == (["beacon/north", "host-0", "host-1"], "writer")
    assert outcome["writer"].settled == 21
    eventually(lambda: not any(_runs(pid) for pid in pids))
    assert query(url, "SELECT count(*) FROM events")[0][0] == 21
    with pytest.raises(SystemNotFound):
        ActorSystem.connect(system.namespace)
    again = launch.run(settings)
    assert again.actor(Counter, "0").state().result(timeout_s=LIMIT_S).total == 1


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_draining_answers_what_was_accepted_before(launch: Launcher) -> None:
    system = launch(actor_system={"actor_timeout_ms": 60_000})
    url = url_of(system)
    ref = system.actor(Counter, "a")
    ref.ask(Add()).result(timeout_s=LIMIT_S)
    with ActorSystem.connect(settings=system.settings) as other, writes_held_up(url):
        replies = [other.actor(Counter, "a").ask(Add()) for _ in range(10)]
        host = ray.get_actor("host-0", namespace=system.namespace)
        eventually(lambda: ray.get(host.status.remote()).facts.unanswered == 10)
        drainer = threading.Thread(target=lambda: launch.drain(system))
        drainer.start()
        assert not any(reply.done() for reply in replies)
        release = replies
    drainer.join(LIMIT_S)
    assert not drainer.is_alive()
    assert query(url, "SELECT count(*) FROM events")[0][0] == 11
    del release


def test_connecting_again_finds_the_running_system(launch: Launcher) -> None:
    system = launch()
    with ActorSystem.connect(system.namespace) as other:
        assert other.settings.event_store == system.settings.event_store
        other.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)
    assert system.actor(Counter, "a").state().result(timeout_s=LIMIT_S).total == 1


def test_what_is_unanswered_when_a_connection_is_closed_fails(launch: Launcher) -> None:
    system = launch()
    other = ActorSystem.connect(system.namespace)
    ref = other.actor(Counter, "a")
    ref.ask(Add()).result(timeout_s=LIMIT_S)
    with writes_held_up(url_of(system)):
        reply = ref.ask(Add())
        other.close()
        with pytest.raises(ConnectionClosed):
            reply.result(timeout_s=LIMIT_S)
    with pytest.raises(ConnectionClosed):
        ref.ask(Add())
    other.close()  # a second time is harmless


def test_a_connected_driver_finds_the_system_that_is_launched_anew(launch: Launcher) -> None:
    settings = launch.settings(actor_system={"actor_timeout_ms": 30_000})
    first = launch.run(settings)
    with ActorSystem.connect(settings=settings) as other, other.subscribe(after=0) as events:
        ref = other.actor(Counter, "a")
        ref.ask(Add()).result(timeout_s=LIMIT_S)
        assert [event.version for event in take(events, 1)] == [1]
        launch.drain(first)
        reply = ref.ask(Add())  # into nothing, until the next one is there
        launch.run(settings)
        assert reply.result(timeout_s=LIMIT_S)[0].version == 2
        ref.tell(Add())
        assert other.flush().result(timeout_s=LIMIT_S) == []
        assert other.tell_many((ref, Add()) for _ in range(10)).failed == 0
        assert ref.state().result(timeout_s=LIMIT_S).total == 13
        assert [event.version for event in take(events, 12)] == list(range(2, 14))
        assert pids_of(other).keys() == {"directory", "writer", "bus", "host-0"}


def test_two_systems_side_by_side_have_nothing_in_common(launch: Launcher) -> None:
    one, other = launch(), launch()
    one.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)
    assert other.actor(Counter, "a").state().result(timeout_s=LIMIT_S).total == 0
    assert (stored(one), stored(other)) == (1, 0)


def test_one_database_has_one_system_until_another_takes_it_over(
    launch: Launcher, new_database: Callable[[], str]
) -> None:
    url = new_database()
    old = launch(event_store={"connection_string": url})
    old.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)
    before = pids_of(old)
    settings = launch.settings(event_store={"connection_string": url})
    with pytest.raises(DatabaseInUse, match=rf"'{old.namespace}'.*--take-over"):
        ActorSystem.launch(settings, timeout_s=LIMIT_S)
    assert pids_of(old) == before  # a refused launch has stopped nothing
    with pytest.raises(SystemNotFound, match=old.namespace):  # and has left nothing
        ActorSystem.connect(settings=settings)
    assert old.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)[0].version == 2

    new = launch.run(settings, take_over=True)
    (event,) = new.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)
    assert event.version == 3
    eventually(lambda: pids_of(old).keys() == {"directory"})
    assert settings.actor_system.namespace in str(statuses_of(old)["directory"].trouble)
    with pytest.raises(SystemReplaced, match=settings.actor_system.namespace):
        ActorSystem.connect(settings=old.settings)
    with pytest.raises(SystemReplaced, match=settings.actor_system.namespace):
        old.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)  # who was connected, too
    kill(old, "directory")  # its restart takes nothing back
    with pytest.raises(SystemReplaced, match=settings.actor_system.namespace):
        ActorSystem.connect(settings=old.settings)
    assert launch.drain(old).problems == ()
    assert new.actor(Counter, "a").ask(Add()).result(timeout_s=LIMIT_S)[0].version == 4
    assert_log_is_whole(new)

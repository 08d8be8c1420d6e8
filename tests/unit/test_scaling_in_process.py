"""A system in one process gets hosts and loses hosts while somebody speaks to its actors."""

import threading

import pytest

from examples.thermostat import ReportTemperature, Thermostat
from runtime.errors import HostUnavailable
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings

ACTORS = 40


def test_hosts_come_and_go_under_load_and_nobody_notices() -> None:
    with InProcessSystem(small_settings({"actor_system": {"hosts": 1}}, type="memory")) as system:
        rooms = [system.actor(Thermostat, f"room-{n}") for n in range(ACTORS)]
        done, rounds, failed = threading.Event(), [], []

        def load() -> None:
            try:
                while not done.is_set():
                    number = len(rounds)
                    asked = [room.ask(ReportTemperature(celsius=number)) for room in rooms]
                    rounds.append([reply.result() for reply in asked])
            except Exception as error:  # for the thread that looks
                failed.append(error)

        loading = threading.Thread(target=load)
        loading.start()
        try:
            for hosts in (3, 2, 4, 1):
                shares = system.scale(hosts).result()
                assert len(shares) == hosts
                assert sum(shares.values()) == 4096
        finally:
            done.set()
            loading.join()
        assert failed == []
        for n in range(ACTORS):
            versions = [events[0].version for events in (each[n] for each in rounds)]
            assert versions == list(range(1, len(rounds) + 1))
        names = [one.name for one in system.status().result() if one.name.startswith("host-")]
        assert names == ["host-0"]
        with pytest.raises(HostUnavailable, match="no pooled host"):
            system.move_shards([rooms[0].shard], to="host-3").result()


def test_a_shard_moves_by_itself_and_what_is_none_is_refused() -> None:
    with InProcessSystem(small_settings({"actor_system": {"hosts": 2}}, type="memory")) as system:
        room = system.actor(Thermostat, "kitchen")
        room.ask(ReportTemperature(celsius=20)).result()
        for host in ("host-0", "host-1", "host-0"):
            system.move_shards([room.shard], to=host).result()
            [event] = room.ask(ReportTemperature(celsius=21)).result()
            assert dict(event.vector_clock.counts).get(f"node-001.{host}")
            assert room.channel.host == host
        with pytest.raises(ValueError, match="4095"):
            system.move_shards([4096], to="host-0")
        with pytest.raises(TypeError):
            system.move_shards(["kitchen"], to="host-0")  # type: ignore[list-item]

"""How the system is: its types, its processes, its settings, and what did not work.

The console shows it, and anybody else may. Types are of the log, and a tenant sees his own.
Processes, settings and failures are the whole system's: a token for a part of the sources may not
see them. Nothing of it has a password or a token.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from aiohttp import web
from pydantic_core import to_json

from actors.moments import moment_of
from actors.naming import actor_type_of
from gateways.tokens import OBSERVE, READ, redacted
from gateways.web.allowed import allowed_of
from gateways.web.catalogue import Catalogue
from gateways.web.census import Census, added_up
from gateways.web.parts import Part, Parts
from gateways.web.reading import Parameters
from runtime.driver.hosts import FailuresHeard
from runtime.errors import HostUnavailable, SystemNotFound
from runtime.process.partitioning import whole_of
from runtime.settings.settings import Settings
from runtime.settings.shown import shown
from runtime.topology.names import DIRECTORY_ACTOR, ProcessKind
from runtime.topology.partitions import process_of_partition
from runtime.topology.status import FailureRecord, ProcessAway, Status, statuses_of_all
from store.event_store import TypeCount

_JSON = "application/json"


class Insight:
    """Answers what is asked about the system. Lives in one event loop."""

    #: For the answers of all processes.
    LIMIT_S = 10.0
    #: Who asks again within so long gets the same answer: each one asks every process.
    FRESH_S = 0.5

    def __init__(self, parts: Parts, catalogue: Catalogue, settings: Settings) -> None:
        self._parts, self._catalogue = parts, catalogue
        self._counting = [Census(part.store) for part in parts]
        self._settings = settings
        self._one_at_a_time = asyncio.Lock()
        self._asked_s = float("-inf")  # when the processes were last
        self._statuses: tuple[Status, ...] = ()

    async def types(self, request: web.BaseRequest, query: str) -> web.StreamResponse:
        """GET /v1/types: the actor types, with what the log has of each; those of the token."""
        Parameters(query, ())
        allowed = allowed_of(request)
        allowed.check_scope(READ)
        prefix = allowed.grant.prefix
        counted = await asyncio.gather(*(each.counted(prefix) for each in self._counting))
        known = {
            name for name in self._catalogue.types
            if not prefix or name == actor_type_of(prefix)
        }  # fmt: skip
        return _answer({
            "through": self._parts.position([each.through for each in counted]),
            "complete": all(each.complete for each in counted),
            "types": _by_actor_type(added_up(counted), known),
        })  # fmt: skip

    async def system(self, request: web.BaseRequest, query: str) -> web.StreamResponse:
        """GET /v1/system: every process, as it says that it is."""
        Parameters(query, ())
        allowed_of(request).check_whole(OBSERVE)
        return _answer({
            "namespace": self._parts.first.connection.namespace,
            "asked_at": moment_of(self._parts.first.connection.world.now_us()),
            "processes": [_process(each) for each in await self._all()],
        })  # fmt: skip

    async def settings(self, request: web.BaseRequest, query: str) -> web.StreamResponse:
        """GET /v1/settings: those that the system was launched with, and where each came from."""
        Parameters(query, ())
        allowed_of(request).check_whole(OBSERVE)
        return _answer({
            "settings": [
                {"key": f"{each.section}.{each.key}", "value": each.value, "from": each.origin}
                for each in shown(await self._whole())
            ]
        })  # fmt: skip

    async def failures(self, request: web.BaseRequest, query: str) -> web.StreamResponse:
        """GET /v1/failures: commands that were rejected or failed since their host began, as far
        as hosts say so; and which do not."""
        Parameters(query, ())
        allowed_of(request).check_whole(OBSERVE)
        heard = await asyncio.gather(*map(self._failures, self._parts))
        records = merged(one for each in heard for one in each.records)
        found = sorted(records, key=lambda each: each.last_us, reverse=True)
        return _answer({
            "failures": [_failure(each) for each in found],
            "silent": [
                {**one._asdict(), "name": process_of_partition(one.name, partition)}
                for partition, each in enumerate(heard)
                for one in each.silent
            ],
        })  # fmt: skip

    async def _failures(self, part: Part) -> FailuresHeard:
        return await part.connection.errand("failures", part.hosts.failures, self.LIMIT_S)

    async def _whole(self) -> Settings:
        """Those of the system, of which a partition has its share of the hosts."""
        if not self._parts.several:
            return self._settings
        for part in self._parts:
            await part.connection.rejoining.ensure()
        hosts = [part.connection.settings.actor_system.hosts for part in self._parts]
        return whole_of(self._settings, sum(hosts))

    async def _all(self) -> tuple[Status, ...]:
        now_s = asyncio.get_running_loop().time
        async with self._one_at_a_time:
            if now_s() - self._asked_s > self.FRESH_S:
                asked = await asyncio.gather(*map(self._statuses_of, self._parts))
                self._statuses = statuses_of_all(asked)
                self._asked_s = now_s()
            return self._statuses

    async def _statuses_of(self, part: Part) -> tuple[Status, ...]:
        connection = part.connection
        ask = partial(connection.rejoining.ask, "statuses")
        try:
            found: tuple[Status, ...] = await connection.errand("status", ask, self.LIMIT_S)
        except (SystemNotFound, HostUnavailable) as error:
            if part is self._parts.first:
                raise
            # Whoever looks wants to see it, beside all that are there.
            away = ProcessAway(name=DIRECTORY_ACTOR, kind=ProcessKind.DIRECTORY, reason=str(error))
            return (away,)
        return found


def merged(records: Iterable[FailureRecord]) -> list[FailureRecord]:
    """What several hosts tell, each type once."""
    found: dict[tuple[str, str, str], FailureRecord] = {}
    for new in records:
        key = (new.actor_type, new.message_type, new.name)
        old = found.setdefault(key, new)
        if old is not new:
            last = max(old, new, key=lambda each: each.last_us)
            first_us, count = min(old.first_us, new.first_us), old.count + new.count
            found[key] = replace(last, first_us=first_us, count=count)
    return list(found.values())


def _by_actor_type(counts: Iterable[TypeCount], known: set[str]) -> list[dict[str, Any]]:
    by_type: dict[str, list[TypeCount]] = {name: [] for name in known}
    for each in counts:
        by_type.setdefault(each.actor_type, []).append(each)
    return [
        {
            "type": name,
            "known": name in known,
            "actors": sum(each.newcomers for each in found),
            "events": sum(each.events for each in found),
            "event_types": [
                {
                    "event_type": each.event_type,
                    "events": each.events,
                    "last_position": each.position,
                    "last_recorded_at": moment_of(each.recorded_us),
                }
                for each in sorted(found, key=lambda each: each.event_type)
            ],
        }
        for name, found in sorted(by_type.items())
    ]


def _process(status: Status) -> dict[str, Any]:
    if isinstance(status, ProcessAway):
        return {"name": status.name, "kind": status.kind, "away": status.reason}
    trouble = status.trouble and redacted(status.trouble)
    return {**asdict(status), "trouble": trouble}


def _failure(record: FailureRecord) -> dict[str, Any]:
    return {
        "type": record.actor_type,
        "message": record.message_type,
        "name": record.name,
        "outcome": record.outcome,
        "count": record.count,
        "first_at": moment_of(record.first_us),
        "last_at": moment_of(record.last_us),
        "source": record.source,
        "text": redacted(record.text),
        "frames": record.frames,
    }


def _answer(value: dict[str, Any]) -> web.Response:
    body = to_json(value, inf_nan_mode="strings", fallback=str)
    return web.Response(body=body, content_type=_JSON, headers={"Cache-Control": "no-store"})

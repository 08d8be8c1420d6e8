"""Deciding a batch: each command through its actor, each event encoded once.

Nothing here waits or does I/O: the host loads actors before, and appends rows after.
State runs ahead of the log here; nothing of it leaves the host before it is durable.
"""

import logging
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from actors.actor import ActorType
from actors.errors import Rejected
from actors.event import Payload
from actors.ids import event_id
from runtime.clocks import NodeClock
from runtime.errors import (
    ActorStopped,
    HandlerFailed,
    InvalidMessage,
    UnknownActorType,
    UnknownMessage,
)
from runtime.host.batch import Batch
from runtime.host.publishing import publish_row
from runtime.host.recent import Recent
from runtime.host.resident import Resident, plain_state, take_snapshot
from runtime.host.residents import Residents
from runtime.wire.commands import PUBLISH, STATE
from runtime.wire.values import pack_value
from store.errors import InvalidData
from store.rows.encoding import CAUSES, CLOCK, encode_row, type_fields
from store.rows.json_text import encode_payload

logger = logging.getLogger("thornback.host")


class _EventType:
    """What is constant about a payload class, per actor type."""

    __slots__ = ("actor", "apply", "fields", "name")

    def __init__(self, actor: ActorType, payload: type[Payload]) -> None:
        self.actor = actor
        self.name = payload.event_type
        self.fields = type_fields(payload.event_type, payload.kind.value)
        applier = actor.appliers.get(payload.event_type)
        self.apply = applier.apply if applier else None


class Decider:
    """Runs batches of commands against resident actors, one batch at a time."""

    def __init__(
        self,
        clock: NodeClock,
        residents: Residents,
        recent: Recent,
        *,
        strategy: str,
        snapshot_frequency: int,
    ) -> None:
        self.clock = clock
        self._residents = residents
        self._recent = recent
        self._strategy = strategy
        self._snapshot_frequency = snapshot_frequency
        self._event_types: dict[type, _EventType] = {}  # of whichever actor type was last
        self._by_actor: dict[tuple[ActorType, type], _EventType] = {}

    def decide(self, batch: Batch, indexes: Iterable[int]) -> None:
        """Run the commands of `batch` at `indexes`; every outcome is left in the batch.

        A command for an actor that must be rebuilt first is left in `batch.deferred`.
        """
        recent, known = self._recent, batch.known
        get, number, frequency = self._residents.get, batch.number, self._snapshot_frequency
        clock, event_types = self.clock, self._event_types
        commands, rows, counts, names = batch.commands, batch.rows, batch.counts, batch.types
        for index in indexes:
            source, message_type, command_id, at_us, data, correlation, causation = commands[index]
            if command_id in recent or command_id in known:
                batch.repeated(index, recent.get(command_id))
                continue
            resident: Resident = get(source)  # type: ignore[assignment]
            handler = resident.handlers.get(message_type)
            if handler is None or not resident.ready:
                self._unusual(batch, index, resident)
                continue
            resident.batch = number
            actor = resident.actor
            actor.at_us = at_us
            try:
                message = handler.message.__pydantic_validator__.validate_python(data)
                events = []
                for payload in handler.decide(actor, message) or ():
                    event_type = event_types.get(payload.__class__)
                    if event_type is None or event_type.actor is not resident.type:
                        event_type = self._event_type(resident, payload)
                    events.append((event_type, payload, encode_payload(event_type.name, payload)))
            except (Rejected, InvalidData, ValidationError) as refusal:
                batch.refused(index, _refusal(refusal, source, message_type))
                continue
            except Exception as error:
                self._failed(batch, index, resident, error)
                continue
            if not events:
                batch.empty.append(index)
                continue
            made: list[bytes] = []
            version, ticks, prefix = resident.version, clock.ticks, clock.prefix
            tail = CAUSES % (correlation or command_id, causation or command_id)
            try:
                for event_type, payload, text in events:
                    if event_type.apply is not None:
                        event_type.apply(actor, payload)
                    version += 1
                    ticks += 1
                    made.append(
                        encode_row(
                            event_id(command_id, len(made)),
                            resident.aggregate_id,
                            version,
                            at_us,
                            event_type.fields,
                            resident.source_field,
                            text,
                            CLOCK % (prefix, ticks),
                            tail,
                        )
                    )
            except Exception as error:
                self._failed(batch, index, resident, error, state_spoilt=True)
                continue
            rows += made
            for event_type, _, _ in events:
                names.append(event_type.name)
            clock.ticks, resident.version = ticks, version
            if version % frequency < len(made):
                batch.snapshot(take_snapshot(resident))
            counts[index] = len(made)
            recent[command_id] = batch

    def _event_type(self, resident: Resident, payload: Any) -> _EventType:
        if not isinstance(payload, Payload) or not hasattr(payload, "kind"):
            raise TypeError(f"a handler yields payloads, not {payload!r}")
        assert resident.type is not None
        key = (resident.type, type(payload))
        found = self._by_actor.get(key) or _EventType(*key)
        self._by_actor[key] = self._event_types[type(payload)] = found
        return found

    def _unusual(self, batch: Batch, index: int, resident: Resident) -> None:
        source, message_type, *_ = batch.commands[index]
        if resident.stopped:
            batch.failed(index, ActorStopped(source))
        elif source in batch.rebuild:
            batch.deferred.append(index)
        elif resident.broken:
            batch.failed(index, HandlerFailed(source, message_type, resident.broken, "not run"))
            batch.rebuild.add(source)
        elif message_type == PUBLISH:
            self._publish(batch, index, resident)
        elif resident.type is None:
            batch.failed(index, UnknownActorType(source.partition("/")[0]))
        elif message_type == STATE:
            state = {"version": resident.version, "state": plain_state(resident)}
            batch.values[index] = pack_value(state)
        else:
            known = ", ".join(sorted(resident.handlers)) or "no messages"
            batch.failed(index, UnknownMessage(source, message_type, known))

    def _publish(self, batch: Batch, index: int, resident: Resident) -> None:
        try:
            row, name = publish_row(batch.commands[index], resident, self.clock)
        except Exception as error:
            batch.failed(index, error)
            return
        batch.rows.append(row)
        batch.types.append(name)
        batch.counts[index] = 1
        resident.batch = batch.number
        self._recent[batch.commands[index][2]] = batch

    def _failed(
        self,
        batch: Batch,
        index: int,
        resident: Resident,
        error: Exception,
        *,
        state_spoilt: bool = False,
    ) -> None:
        source, message_type, *_ = batch.commands[index]
        logger.error("%s failed at %s", source, message_type, exc_info=error)
        decision = self._strategy
        if decision == "resume" and state_spoilt:
            decision = "restart"  # a half-applied event leaves nothing to resume with
        if decision == "stop":
            resident.ready, resident.stopped = False, True
        elif decision == "restart":
            resident.ready = False
            batch.rebuild.add(source)
        failure = f"{type(error).__name__}: {error}"
        batch.refused(index, HandlerFailed(source, message_type, failure, decision))


def _refusal(refusal: Exception, source: str, message_type: str) -> Exception:
    if isinstance(refusal, ValidationError):
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'message'}: {problem['msg']}"
            for problem in refusal.errors(include_url=False, include_context=False)
        )
        return InvalidMessage(source, message_type, problems)
    return refusal

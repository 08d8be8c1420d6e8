"""Supervision in a host: does what actors/supervision.py decides about an actor that failed.

The tree has three levels. An actor; above it the group of its type at this host, which is what
`all-for-one` concerns; above that the host, whose own strategy is the setting
`actor_system.supervisor_strategy`. What an actor escalates, the host decides for the whole group;
what the host itself escalates ends its process, for Ray to start it anew.

Nothing here is asked for an actor that does not fail: who rests or is stopped is not `ready`, which
the hot loop looks at anyway.
"""

import logging
from collections.abc import Callable
from typing import Any

from actors.actor import Actor
from actors.lifecycle import ActorHasFailed, ActorWasStopped
from actors.naming import actor_type_of
from actors.supervision import (
    NEVER,
    Restarts,
    Scope,
    Strategy,
    Supervision,
    Verdict,
    judge,
    without_limit,
)
from runtime.errors import ActorRestarting, HandlerBlocked
from runtime.host.at_hand import ON_FAILURE, ON_START, ON_STOP, hook_of
from runtime.host.batch import Attempt, Batch
from runtime.host.resident import FAILURES, Resident
from runtime.host.residents import Residents
from runtime.process.no_waiting import allow_waiting, forbid_waiting
from runtime.wire.commands import ID, message_type_of
from runtime.wire.error_codec import text_of_error

logger = logging.getLogger("thornback.host")

_NOTHING = (NEVER, 0)


class Supervisor:
    """What becomes of the actors of one host that fail. The line of work alone calls it."""

    #: Whose restarts are remembered; beyond it those are forgotten that came back first.
    REMEMBERED = 10_000
    #: A host that has lived for less does not end because of an actor: it rebuilds its group.
    #: Nobody counts the restarts of hosts, so this is what keeps them apart.
    LIFE_S = 30.0

    def __init__(
        self,
        residents: Residents,
        *,
        strategy: str,
        now_s: Callable[[], float],
        random: Callable[[int], bytes],
        escalate: Callable[[Batch], None] = lambda batch: None,
        count: Callable[[str, str], None] = lambda actor_type, became: None,
    ) -> None:
        self._residents = residents
        self._own = without_limit(strategy)  #: the host's
        self._now_s = now_s
        self._random = random
        self._escalate = escalate  #: ends the process, when that batch is answered
        self._count = count  #: is told the actor type, and what became of one that failed
        self._since_s = now_s()
        self._ends = False
        #: By source, or by actor type for a group; each with the number of the change that made it.
        self._restarts: dict[str, tuple[Restarts, int]] = {}
        self._changes = 0
        self._failed_last: dict[str, str] = {}  #: by actor type: who of a group it was
        self._work = residents.work
        residents.on_load = self.loaded

    # Failing ----------------------------------------------------------------------------------

    def failed(
        self, attempt: Attempt, command: Any, resident: Resident, failure: str, *, spoilt: bool
    ) -> str:
        """An actor has failed at a command: see to it. What is told to the command's sender."""
        # For a large group that takes long, and no code of the actor blocks in it.
        at, self._work.at = self._work.at, None
        try:
            return self._judged(attempt, command, resident, failure, spoilt=spoilt)
        finally:
            self._work.at = at

    def _judged(
        self, attempt: Attempt, command: Any, resident: Resident, failure: str, *, spoilt: bool
    ) -> str:
        supervision = self._of(resident)
        key = self._key(resident, supervision)
        before, change = self._restarts.get(key, _NOTHING)
        group, this = key != resident.source, command[ID]
        before = self._with_those_before(before, resident, group=group, but=this)
        verdict, after = judge(
            supervision, before, self._now_s(), spoilt=spoilt, chance=self._chance()
        )
        if after is not before:
            attempt.restarts.setdefault(key, (before, change))
            self._changes += 1
            self._remember(key, after, self._changes)
            if supervision.group:
                self._failed_last[key] = resident.source
        self._count(resident.type.name if resident.type else "", verdict.strategy.value)
        if verdict.strategy is Strategy.ESCALATE:
            self._escalated(attempt, command, resident, failure, spoilt=spoilt)
        else:
            group = supervision.group
            self._do(verdict, attempt, command, resident, failure, group=group)
        return verdict.strategy.value

    def refusal(self, batch: Batch, resident: Resident) -> ActorRestarting | None:
        """What is said to a command for an actor that rests; None where it does not. Once it is
        said it is said to the rest of a batch, whatever is decided in between: commands are not to
        take effect behind one that was sent before them, and was not run."""
        left_s = self._left_s(resident)
        if left_s <= 0 and resident.source not in batch.refused:
            return None
        batch.refused.add(resident.source)
        return ActorRestarting(
            resident.source, round(max(left_s, 0.0), 3), self._another_failed(resident)
        )

    def loaded(self, resident: Resident) -> None:
        """An actor has come into memory. One that rests, or is stopped, does not decide yet."""
        if self._left_s(resident) > 0:
            resident.ready = False
        elif resident.ready:
            self._start(resident)

    def undo(self, attempt: Attempt) -> None:
        """What an attempt has led to is undone: its failures do not count."""
        for key, (before, change) in attempt.restarts.items():
            # Of several that are undone, in any order, the first one knows what was before them.
            if key in self._restarts and change < self._restarts[key][1]:
                self._remember(key, before, change)

    def settled(self, attempt: Attempt) -> None:
        """An attempt is durable: those that it has stopped are told."""
        for resident in attempt.stopped.values():
            self._call(resident, ON_STOP)

    def tell_failure(self, resident: Resident, error: BaseException) -> None:
        """Have an actor know of its failure, while its command is decided."""
        at, self._work.at = self._work.at, hook_of(resident.source, ON_FAILURE)
        try:
            self._run(resident, ON_FAILURE, error)
        finally:
            self._work.at = at

    def _call(self, resident: Resident, hook: str) -> str | None:
        """Run a hook between batches, where its class has one; what is wrong with it."""
        if not _has(resident, hook):
            return None
        forbid_waiting()
        try:
            return self._work.run(hook_of(resident.source, hook), self._run, resident, hook)
        except HandlerBlocked as blocked:
            return blocked.failure
        finally:
            allow_waiting()

    def _run(self, resident: Resident, hook: str, *arguments: Any) -> str | None:
        if not _has(resident, hook):
            return None
        blocked = self._work.blocked
        if found := blocked.hook(resident.source, hook):
            return found.failure
        if blocked.at_hand.note is not None:
            blocked.at_hand.note(hook_of(resident.source, hook))
        try:
            getattr(resident.actor, hook)(*arguments)
        except FAILURES as error:
            logger.error("%s: its %s failed", resident.source, hook, exc_info=error)
            return text_of_error(error)
        return None

    def _start(self, resident: Resident) -> None:
        problem = self._call(resident, ON_START)
        if problem is not None:
            resident.is_broken(f"its on_start failed: {problem}")

    def _do(
        self,
        verdict: Verdict,
        attempt: Attempt,
        command: Any,
        resident: Resident,
        failure: str,
        *,
        group: bool,
    ) -> None:
        concerned = [resident, *(self._others(resident) if group else ())]
        match verdict.strategy:
            case Strategy.STOP:
                for one in concerned:
                    if one is resident or one.version:  # else the log would get to know it by this
                        failed = "" if one is resident else resident.source
                        event = _stopped(verdict, command, failure, failed)
                        self._stop(attempt, command, one, event)
            case Strategy.RESTART:
                for one in concerned:
                    one.ready = False
                    attempt.rebuild.add(one.source)
                if verdict.rest_s:
                    rests = ActorHasFailed(
                        message_type=message_type_of(command),
                        failure=failure,
                        became=verdict.strategy.value,
                        rest_s=round(verdict.rest_s, 3),
                    )
                    attempt.tell(resident, rests, command)

    def _stop(
        self, attempt: Attempt, command: Any, resident: Resident, event: ActorWasStopped
    ) -> None:
        if resident.stopped:
            return
        resident.ready, resident.stopped = False, event.reason
        attempt.tell(resident, event, command)
        attempt.stopped[resident.source] = resident

    def _escalated(
        self, attempt: Attempt, command: Any, resident: Resident, failure: str, *, spoilt: bool
    ) -> None:
        """The host decides, for the group of the actor."""
        verdict, _ = judge(self._own, NEVER, 0.0, spoilt=spoilt, chance=0.5)
        logger.error("%s is escalated to its host, which says %s", resident.source,
                     verdict.strategy.value)  # fmt: skip
        if verdict.strategy is Strategy.ESCALATE:
            if not self._ends and self._now_s() - self._since_s >= self.LIFE_S:
                self._ends = True
                self._escalate(attempt.batch)
                ends = ActorHasFailed(
                    message_type=message_type_of(command),
                    failure=failure,
                    became=verdict.strategy.value,
                )
                attempt.tell(resident, ends, command)
            verdict = Verdict(strategy=Strategy.RESTART)
        self._do(verdict, attempt, command, resident, failure, group=True)

    # Whom it concerns -------------------------------------------------------------------------

    def _of(self, resident: Resident) -> Supervision:
        said = resident.type.actor.supervision if resident.type else None
        return said or self._own

    def _key(self, resident: Resident, supervision: Supervision) -> str:
        return _keys(resident)[1] if supervision.scope == Scope.ALL_FOR_ONE else resident.source

    def _others(self, resident: Resident) -> list[Resident]:
        return [
            one
            for one in self._residents.of_type(resident.type)
            if one is not resident and not one.stopped
        ]

    def _left_s(self, resident: Resident) -> float:
        """How long it rests from now on."""
        if not self._restarts:
            return 0.0
        back_s = max(self._restarts.get(key, _NOTHING)[0].back_s for key in _keys(resident))
        return back_s - self._now_s()

    def _another_failed(self, resident: Resident) -> str:
        """Who failed, where an actor rests for another one of its group."""
        own_s, group_s = (self._restarts.get(key, _NOTHING)[0].back_s for key in _keys(resident))
        failed = self._failed_last.get(_keys(resident)[1], "") if group_s > own_s else ""
        return "" if failed == resident.source else failed

    def _with_those_before(
        self, known: Restarts, of: Resident, *, group: bool, but: bytes
    ) -> Restarts:
        """With the restarts that earlier incarnations of this host came to, of those that blocked:
        these alone are known of them."""
        ago_s = self._work.blocked.failed_before(of.source, group=group, but=but)
        if not ago_s:
            return known
        at_s = sorted([*(self._now_s() - each for each in ago_s), *known.at_s])
        return Restarts(tuple(at_s), known.in_a_row + len(ago_s), max(at_s[-1], known.back_s))

    def _remember(self, key: str, restarts: Restarts, change: int) -> None:
        self._restarts.pop(key, None)
        self._restarts[key] = restarts, change
        if len(self._restarts) > self.REMEMBERED:
            del self._restarts[next(iter(self._restarts))]

    def _chance(self) -> float:
        return int.from_bytes(self._random(4), "big") / (1 << 32)


def _has(resident: Resident, hook: str) -> bool:
    """Does its class have a hook of its own?"""
    actor = resident.actor
    return actor is not None and getattr(type(actor), hook, None) not in (
        None,
        getattr(Actor, hook),
    )


def _keys(resident: Resident) -> tuple[str, str]:
    """Under what restarts are remembered that concern it: its own, and those of its group. The name
    of a type has no slash, a source of one has."""
    return resident.source, actor_type_of(resident.source)


def _stopped(verdict: Verdict, command: Any, failure: str, failed: str) -> ActorWasStopped:
    """What the log says of one that is stopped; `failed` is who failed, if it was another one."""
    message_type = message_type_of(command)
    who = f"{failed} of its group failed at {message_type}" if failed else "it failed"
    often = ", more often than its policy lets it be restarted" if verdict.exhausted else ""
    return ActorWasStopped(
        reason=f"{who}{often}: {failure}",
        message_type=message_type,
        failure=failure,
        failed=failed,
    )

"""The supervision of Ray actors, in the hands of the directory.

Ray starts a process anew as often as it ends. Each one asks here before it begins, and the policy
of the settings, which is what device actors have (actors/supervision.py), says when it may: the
first time at once, as to start it takes longer than a first rest; then after rests that grow.

What becomes of one beyond its limit depends on whether others can do what it did:

| process                         | beyond its limit                                          |
|---------------------------------|-----------------------------------------------------------|
| pooled host, others have shards | it is stopped: they get its shards (Sharding.take_shards) |
| the last pooled host            | it has the longest rest, and is started again             |
| a host that ends since another  | likewise: what it took over may be what ends it, and      |
| was stopped                     | would end all others, one after the other                 |
| all others                      | likewise: nobody is there in their place                  |
| directory                       | it asks nobody, and is started as often as it takes       |

It is beyond its limit until it has lived for a period, and is judged anew at each end.

All of it is in memory: a directory that is started anew counts from nought. That a host is stopped
lasts, because it has no shards any more; who scales starts it again.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from actors.supervision import NEVER, RestartPolicy, Restarts, Strategy, Supervision, judge
from runtime.process.leave import AT_ONCE, Leave
from runtime.settings.sections import ActorSystemSettings
from runtime.topology.names import ProcessKind


def policy_of(settings: ActorSystemSettings) -> RestartPolicy:
    """The policy of all processes."""
    return RestartPolicy(
        intensity=settings.process_restarts,
        period_s=settings.process_period_ms / 1000,
        backoff_s=settings.process_backoff_ms / 1000,
        max_backoff_s=settings.process_max_backoff_ms / 1000,
    )


#: Ends in a row after which a rest is the longest one, whatever the policy: 2**64 first ones.
LONG_SINCE = 64


class Stop(NamedTuple):
    """A host is to be stopped."""

    host: str
    why: str  #: like "it has ended 6 times within 30 s"


class ProcessSupervision:
    """Counts the ends of processes. In the event loop of the directory."""

    #: Who begins to end within that time from when another host was stopped is taken for an heir
    #: of what ended that one.
    HEIR_S = 600.0
    #: So many incarnations of one are known again: two may ask in turn, where Ray has taken one for
    #: dead that lives on.
    TOLD = 4

    def __init__(
        self,
        policy: RestartPolicy,
        *,
        now_s: Callable[[], float],
        chance: Callable[[], float],
        in_its_place: Callable[[str], bool],
        stop: Callable[[Stop], None],
        count: Callable[[ProcessKind, str], None],
    ) -> None:
        """`in_its_place` says whether others can do what a process did. `stop` has one stopped, in
        the background; `count` what became of one that had ended."""
        self._supervision = Supervision(strategy=Strategy.RESTART, policy=policy)
        self._now_s, self._chance = now_s, chance
        self._in_its_place, self._stop, self._count = in_its_place, stop, count
        self._restarts: dict[str, Restarts] = {}
        self._told: dict[str, dict[bytes, Leave]] = {}  #: of each, to its last incarnations
        self._beyond: set[str] = set()  #: their limit, and have not lived for a period since
        self._stopped_s: dict[str, float] = {}  #: who was stopped, and when, within HEIR_S

    def begins_again(self, name: str, kind: ProcessKind, incarnation: bytes) -> Leave:
        """When this incarnation of a process that has ended may begin."""
        told = self._told.get(name, {})
        if incarnation not in told:
            leave = self._judged(name, kind)
            kept = list(told.items())[1 - self.TOLD :]
            self._told[name] = {**dict(kept), incarnation: leave}
            self._forget()
        return self._told[name][incarnation]

    def begins_anew(self, name: str) -> None:
        """Somebody has a process started: what was before does not count any more."""
        self._restarts.pop(name, None)
        self._told.pop(name, None)
        self._beyond.discard(name)

    def _forget(self) -> None:
        """Of whoever has not ended for as long as counts, nothing need be remembered. They stand in
        the order in which they have ended last."""
        now_s, policy = self._now_s(), self._supervision.policy
        for name, restarts in list(self._restarts.items())[:2]:  # more than are added
            if now_s - max(restarts.at_s[-1], restarts.back_s) >= policy.period_s:
                self.begins_anew(name)

    def _judged(self, name: str, kind: ProcessKind) -> Leave:
        policy, now_s = self._supervision.policy, self._now_s()
        before = self._restarts.pop(name, NEVER)  # and it is the last one again
        chance = self._chance()
        verdict, after = judge(self._supervision, before, now_s, spoilt=False, chance=chance)
        # The rests of one beyond its limit are so long that its ends are fewer than the limit. It
        # is beyond it all the same, and perhaps there is somebody in its place by now.
        in_a_row = now_s - before.back_s < policy.period_s
        if not verdict.exhausted and not (name in self._beyond and in_a_row):
            self._beyond.discard(name)
            self._restarts[name] = after
            if after.in_a_row == 1:
                self._restarts[name] = replace(after, back_s=now_s)
                self._count(kind, "restarted")
                return AT_ONCE
            self._count(kind, "rested")
            return Leave(verdict.rest_s, f"it has ended {after.in_a_row} times in a row")
        why = f"it has ended {len(before.at_s) + 1} times within {policy.period_s:g} s"
        if not verdict.exhausted:
            why = f"it has ended {before.in_a_row + 1} times in a row"
        # Not even one that is stopped waits for ever: what stops it may fail.
        rest_s = policy.rest_s(LONG_SINCE, chance)
        is_heir = self._is_heir(name, before, now_s)
        stopped = not is_heir and self._in_its_place(name)
        if stopped:
            rest_s = max(rest_s, policy.period_s)
        kept = (*before.at_s[1:], now_s)  # no more of them than count
        self._restarts[name] = Restarts(kept, before.in_a_row + 1, now_s + rest_s)
        self._beyond.add(name)
        if is_heir:
            self._count(kind, "rested")
            return Leave(rest_s, f"{why}, perhaps of what it took over from a stopped host")
        if stopped:
            self._stopped_s[name] = now_s
            self._count(kind, "stopped")
            self._stop(Stop(name, why))
            return Leave(rest_s, f"{why}: it is stopped")
        self._count(kind, "rested")
        return Leave(rest_s, f"{why}, and no other process can do what it does")

    def _is_heir(self, name: str, before: Restarts, now_s: float) -> bool:
        """Does it end since it has what another host ended of? Were it stopped for that, all others
        would be, one after the other. An end from before, of its machine say, does not clear it:
        most of them are since then."""
        stopped_s = {host: at for host, at in self._stopped_s.items() if now_s - at < self.HEIR_S}
        self._stopped_s = stopped_s
        middle_s = before.at_s[len(before.at_s) // 2]
        return any(host != name and middle_s > at for host, at in stopped_s.items())

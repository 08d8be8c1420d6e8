"""Hosts that have answered nothing for a while, as whoever fires timers meets them: who is silent,
what was put off because of it, and who has their actors meanwhile.

A host that has given shards away says so when it is sent something of them; a silent one does not.
So the others are asked, for as long as it is silent: what was moved away from it before or since is
fired by whoever has it. Nothing here is durable: what is forgotten is tried again when its rest in
the table of timers is over.
"""

import asyncio
from collections.abc import Callable

from runtime.driver.channel import Channel
from runtime.driver.channels import Channels
from runtime.driver.outgoing import Outgoing


class SilentHosts:
    """Those of one incarnation. Its event loop alone changes any of it."""

    #: So many actors are remembered for which something was put off; of more, it rests.
    MOST = 5_000

    def __init__(
        self, channels: Callable[[], Channels], changed: Callable[[], None], *, silent_s: float
    ) -> None:
        """Who has answered nothing for `silent_s` is silent, and is asked for elsewhere as often;
        `changed` hears when somebody has said where actors are."""
        self._channels, self._changed, self._silent_s = channels, changed, silent_s
        #: What has no answer, by the channel on which it is now, and since when none came there.
        self._quiet: dict[Channel, tuple[list[Outgoing], float]] = {}
        #: Actors for which something was put off, by the channel that it was for.
        self._put_off: dict[Channel, set[str]] = {}
        self._looks: dict[Channel, asyncio.Task[None]] = {}  #: under way, or done
        self._looked_s: dict[Channel, float] = {}  #: when they began
        self._version = -1  #: of the table of shards by which that was seen last

    def listen(self, now_s: float) -> None:
        """See what is under way, and what was answered."""
        quiet = {}
        for channel in self._channels().all():
            if unanswered := channel.unanswered():
                before, since_s = self._quiet.get(channel, ([], now_s))
                answered = any(one.finished for one in before)
                quiet[channel] = unanswered, now_s if answered else since_s
        self._quiet = quiet

    def put_off(self, channel: Channel, source: str) -> None:
        """Something for this actor rests, because the host of that channel is silent."""
        if sum(map(len, self._put_off.values())) < self.MOST:
            self._put_off.setdefault(channel, set()).add(source)

    def silent(self, now_s: float) -> set[Channel]:
        """Those that are. Somebody else is being asked who has their actors."""
        before_s = now_s - self._silent_s
        silent = {channel for channel, (_, since_s) in self._quiet.items() if since_s <= before_s}
        for channel in sorted(silent, key=lambda channel: channel.host):
            look = self._looks.get(channel)
            if (look is None or look.done()) and self._looked_s.get(channel, before_s) <= before_s:
                self._looked_s[channel] = now_s
                self._looks[channel] = asyncio.ensure_future(self._look(channel))
        for channel in self._looks.keys() - silent:
            if self._looks[channel].done():
                del self._looks[channel], self._looked_s[channel]
        return silent

    def has_moved(self) -> bool:
        """Is another table of shards known than the last time when this was asked?"""
        before, self._version = self._version, self._channels().table.version
        return self._version != before

    def awaited(self, silent: set[Channel], way_to: Callable[[str], Channel] | None) -> list[str]:
        """Actors of which something was put off, and whose host is none of the silent ones: it is
        there again; or, where somebody may know another one, that is. They are told once."""
        found: set[str] = set()
        for channel, sources in list(self._put_off.items()):
            if channel not in silent:
                found |= self._put_off.pop(channel)
            elif way_to is not None:
                theirs = {source for source in sources if way_to(source) not in silent}
                found |= theirs
                sources.difference_update(theirs)
        return sorted(found)

    def close(self) -> None:
        """Ask nobody any more."""
        for look in self._looks.values():
            look.cancel()

    async def _look(self, channel: Channel) -> None:
        await self._channels().look_elsewhere(channel.host)  # says itself what it fails at
        self._changed()

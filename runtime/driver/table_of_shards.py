"""What a channel asks of the table of shards, by which its host was found."""

from runtime.driver.host_link import HostLink
from runtime.driver.outgoing import Outgoing


class TableOfShards:
    """A table that stays as it is. Channels is one that does not."""

    async def catch_up(self, version: int, link: HostLink) -> None:
        """Learn a table of that version, or a later one, from the host of a channel of which
        nothing is under way, and have what is unanswered go where it belongs by that; as far as
        that can be now."""

    async def look_elsewhere(self, host: str) -> None:
        """A host is away, perhaps for good, and its actors elsewhere: ask others who has them."""

    def submit(self, outgoing: Outgoing) -> None:
        """Send a batch whose actors may live at several hosts by now."""
        raise NotImplementedError

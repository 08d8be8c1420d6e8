"""Members of a group: a durable subscription that several programs share by aggregate."""

from concurrent.futures import Future
from dataclasses import dataclass

from actors.errors import ThornbackError
from runtime.driver.connection import Connection
from runtime.driver.starting import Start
from runtime.driver.subscription import InHand
from runtime.processing.durable_subscription import DurableSubscription
from runtime.processing.keeping import Progress
from runtime.processing.membership import Membership
from store.event_store import Page
from store.rows.layout import rows_of_slots
from store.selection import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dealt(Page):
    """Of a page, what is of the member's slots; and the deal of which that is."""

    deal: int


class GroupSubscription(DurableSubscription):
    """One member of a group, which has a name: whoever opens it, in whatever program, is another
    one, and they share the aggregates. The group has sixteen slots, each member some of them, as
    many as any other but for one; an aggregate is of one slot for ever.

    Over all of them, every event that is selected is handed out at least once, those of an
    aggregate in their order. It is handed out twice only where whoever had it left before it was
    finished, or was out before the log knew that it was: a member that is silent for
    `processing.member_timeout_ms` is out, and others have its slots. One that hung so long, and
    comes back, hands out what it has read of them until it hears of that, at its next look or
    checkpoint; what is finished of these then counts for nobody, and `finish` raises ShareTaken.

    Members join, leave and die at any time. Slots that go to another one hand out nothing more here
    from the moment when this one knows; when what is in hand is finished, the other one has them.
    Events of one aggregate come in order; those of two may not, and `position`, which is how far
    all slots of this member are, goes back when it gets others. Where there are more members than
    slots, the last ones have none, and wait. All else is as it is for one reader: what is finished,
    how it is told to the log, what comes again, and that one program at a time reads this one
    member of it.

    `receipt` is that of the slots which this member has; that of the group is checked by its name
    (`thornback verify`).
    """

    _checkpoint: Membership

    def _kept_by(
        self, connection: Connection, name: str, selection: Selection, after: Start
    ) -> tuple[Membership, Progress]:
        membership = Membership(connection, name, selection, after)
        self._share = membership.share
        return membership, membership.share

    @property
    def slots(self) -> frozenset[int]:
        """The slots that it has now, of the sixteen; it may have others a moment later."""
        return self._share.numbers

    @property
    def position(self) -> int:
        """How far what was handed out reaches in all of its slots; where that was last, if it has
        none."""
        return max(self._share.position, self._inlet.start)

    def _taken(self) -> Page | None:
        with self._share.lock:
            page, deal, passed = super()._taken(), self._share.deal, self._share.passed_by()
        if page is None:
            return None
        return _Dealt(rows=rows_of_slots(page.rows, passed), through=page.through, deal=deal)

    def _unpacked(self, page: Page) -> InHand:
        assert isinstance(page, _Dealt)
        return InHand(self._decoder.page(page.rows), page.through, page.deal)

    def _turned_or(self, done: InHand) -> "Future[None] | None":
        try:
            return super()._turned_or(done)
        except ThornbackError:
            self._checkpoint.ended()  # or nobody would read what it has
            raise

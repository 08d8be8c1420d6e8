"""Moments as whole microseconds since 2000-01-01 UTC: what Postgres stores and the wire
carries. A datetime is made of one only where somebody looks at it."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

#: Microseconds from the Unix epoch to ours.
UNIX_OFFSET_US = 946_684_800_000_000

_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """An aware datetime in microseconds. Raises ValueError for one without a zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return (moment - EPOCH) // _MICROSECOND


def moment_of(us: int) -> datetime:
    """The aware datetime of microseconds."""
    return EPOCH + timedelta(0, 0, us)

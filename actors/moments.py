"""Moments as whole microseconds since 1970-01-01 UTC, which the wire and actors carry. A
datetime is made of one only where somebody looks at it."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """An aware datetime in microseconds. Raises ValueError for one without a zone, and for what
    is none."""
    if not isinstance(moment, datetime):
        raise ValueError(f"a moment is an aware datetime, not {moment!r:.80}")
    if moment.utcoffset() is None:
        raise ValueError(
            f"{moment} has no time zone: datetime.now(UTC), or moment.replace(tzinfo=UTC)"
        )
    return (moment - EPOCH) // _MICROSECOND


def moment_of(us: int) -> datetime:
    """The aware datetime of microseconds. Raises OverflowError for what no calendar has."""
    return EPOCH + timedelta(0, 0, us)


#: The first and the last moment that a datetime can tell: years 1 to 9999.
FIRST_US = microseconds(datetime.min.replace(tzinfo=UTC))
LAST_US = microseconds(datetime.max.replace(tzinfo=UTC))


def checked_us(moment: object) -> int:
    """The microseconds of a moment that somebody gave, as an aware datetime or as
    microseconds already. Raises ValueError, which says what was expected."""
    if isinstance(moment, datetime):
        us = microseconds(moment)
    elif type(moment) is int:
        us = moment
    else:
        raise ValueError(
            "a moment is an aware datetime or a number of microseconds since 1970, "
            f"not {moment!r:.80}"
        )
    if not FIRST_US <= us <= LAST_US:
        raise ValueError(f"no calendar has the moment {us} us after 1970: years 1 to 9999 do")
    return us

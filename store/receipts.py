"""Receipts: which events a durable subscription has finished, in sixteen bytes and a count.

A receipt is kept beside the checkpoint and moves with it. Because it can be computed again from
the log alone, in SQL, whoever doubts can check that nothing was skipped and that nothing was
counted twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from struct import Struct

#: Two numbers that are added up apart from one another, each modulo 2**64.
_LANES = Struct(">QQ")
_MODULUS = 2**64


@dataclass(frozen=True, slots=True)
class Receipt:
    """How many events were finished, and a digest of their ids that no order matters to.

    `digest` has 16 bytes: of the first 16 bytes of each id's SHA-256, taken as two unsigned numbers
    of 64 bits (big-endian), the sums modulo 2**64. An event that is missing changes it, and so does
    one that came twice, or another in its place: that two sets of events have the same digest by
    chance has a probability of 2**-128. It is no proof against somebody who chooses ids in order
    to deceive.
    """

    count: int = 0
    digest: bytes = bytes(16)

    def plus(self, event_ids: Iterable[bytes]) -> "Receipt":
        """This one, and these events, each id with its 16 bytes."""
        count = self.count
        high, low = _LANES.unpack(self.digest)
        for event_id in event_ids:
            one, other = _LANES.unpack_from(sha256(event_id).digest())
            high += one
            low += other
            count += 1
        return Receipt(count, _LANES.pack(high % _MODULUS, low % _MODULUS))

    def __add__(self, other: "Receipt") -> "Receipt":
        """Of both, which have no event in common."""
        pairs = zip(_LANES.unpack(self.digest), _LANES.unpack(other.digest), strict=True)
        return Receipt.of_sums(self.count + other.count, *map(sum, pairs))

    @classmethod
    def of_sums(cls, count: int, high: int, low: int) -> "Receipt":
        """As a database adds it up: with signed numbers, and without a modulus."""
        return cls(count, _LANES.pack(high % _MODULUS, low % _MODULUS))

    def __str__(self) -> str:
        return f"{self.count:,} events, digest {self.digest.hex()}"


NOTHING_FINISHED = Receipt()

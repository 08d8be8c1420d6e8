"""The machines of a Ray: which there are, what they are for, and which are about to go."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One that is there."""

    id: str  #: Ray's
    labels: Mapping[str, str] = field(default_factory=dict)
    leaving: bool = False  #: has somebody said that it is about to go?
    #: Then it has so many seconds left, as far as the clocks of two machines agree; infinitely many
    #: where nobody has said when it goes.
    goes_in_s: float = math.inf

    def has(self, labels: Mapping[str, str]) -> bool:
        """Has it all of these?"""
        return labels.items() <= self.labels.items()

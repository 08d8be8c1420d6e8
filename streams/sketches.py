"""Sketches: answers that are nearly right, out of a state whose size is bounded.

Both are such that what they answer depends on what came, and not on its order: a correction that is
computed again from the log comes to what the state would have come to.

- `Distinct` is a theta sketch of Apache DataSketches. Trimmed, it is a function of the set that it
  has seen: the hashes that are least. (HyperLogLog as it stands there, and CPC, estimate by the
  history of their updates.)
- `Quantiles` counts in buckets of a fixed relative width (DDSketch, Masson et al. 2019, with the
  buckets of an HDR histogram: a power of two is divided evenly, so a bucket is found by exact
  arithmetic, alike on all machines). The quantile sketches of DataSketches draw their compactions
  at random (KLL, REQ) or depend on the order (t-digest).
"""

from math import ceil, frexp, ldexp
from typing import Any

from streams.aggregates import Of
from streams.aggregation import reader
from streams.errors import InvalidProgram
from streams.exact import checked_number

#: Buckets to a power of two: a value is told to within 1/128 of itself, 0.8 %.
_BUCKETS = 64


class Quantiles:
    """Quantiles of a number to within 0.8 % of the value: `Quantiles("delay_min", 0.5, 0.99)` comes
    to {"p50": ..., "p99": ...}, with None where there is no value. The quantile q of n values is
    the one with ceil(q * n) of them at or below it. The state grows with the powers of two that
    the values cover, by at most 64 counts each."""

    def __init__(self, of: Of, *quantiles: float) -> None:
        self._read = reader(of)
        self._quantiles = quantiles or (0.5,)
        said: tuple[object, ...] = self._quantiles
        for each in said:
            if not isinstance(each, (int, float)) or not 0 <= each <= 1:
                raise ValueError(f"a quantile is a number from 0 to 1, not {each!r:.40}")

    def zero(self) -> dict[str, int]:
        """Nothing so far."""
        return {}

    def add(self, so_far: dict[str, int], item: Any) -> dict[str, int]:
        """Raises ValueError for what is no finite number."""
        value = self._read(item)
        if value is None:
            return so_far
        bucket = str(_bucket(float(checked_number(value))))
        return {**so_far, bucket: so_far.get(bucket, 0) + 1}

    def merge(self, one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
        """All of both."""
        return {**one, **{bucket: n + one.get(bucket, 0) for bucket, n in other.items()}}

    def result(self, so_far: dict[str, int]) -> dict[str, float | None]:
        """By name: p50 for 0.5."""
        counts = sorted((int(bucket), count) for bucket, count in so_far.items())
        return {f"p{q * 100:g}": _quantile(counts, q) for q in self._quantiles}


def _quantile(counts: list[tuple[int, int]], q: float) -> float | None:
    rank = max(1, ceil(q * sum(count for _, count in counts)))
    for bucket, count in counts:
        rank -= count
        if rank <= 0:
            return _middle(bucket)
    return None


#: Floats are 2**exponent times something from 0.5 on and below 1; no exponent is below this one.
_LEAST_EXPONENT = -1074


def _bucket(value: float) -> int:
    """The bucket of a number. Buckets ascend with the numbers; 0 is that of zero alone."""
    if value == 0:
        return 0
    mantissa, exponent = frexp(abs(value))
    place = (exponent - _LEAST_EXPONENT) * _BUCKETS + int((2 * mantissa - 1) * _BUCKETS) + 1
    return place if value > 0 else -place


def _middle(bucket: int) -> float:
    if bucket == 0:
        return 0.0
    exponent, part = divmod(abs(bucket) - 1, _BUCKETS)
    value = ldexp((1 + (part + 0.5) / _BUCKETS) / 2, exponent + _LEAST_EXPONENT)
    return value if bucket > 0 else -value


class Distinct:
    """How many different values there are, of texts or numbers: exact up to `size` of them, beyond
    it to within about 1 / sqrt(size) of the number (a standard error of 2.2 % for 2,048). The state
    is 8 bytes a value, up to `size` of them. Needs the package datasketches."""

    def __init__(self, of: Of, *, size: int = 2048) -> None:
        self._read = reader(of)
        if type(size) is not int or not 32 <= size <= 2**20 or size & (size - 1):
            raise ValueError(f"the size of a sketch is a power of two from 32 on, not {size!r:.40}")
        self._lg_k = size.bit_length() - 1
        _sketches()  # so that who lacks the package learns it here

    def zero(self) -> bytes | None:
        """Nothing so far."""
        return None

    def add(self, so_far: bytes | None, item: Any) -> bytes | None:
        """Raises ValueError for what is neither text nor number."""
        value = self._read(item)
        if value is None:
            return so_far
        if type(value) not in (str, int, float):
            raise ValueError(f"only texts and numbers are counted by a sketch, not {value!r:.80}")
        one = _sketches().update_theta_sketch()
        # One spelling of each value: 1 and 1.0 are equal, and a number is not its text.
        whole = type(value) is float and value.is_integer()
        one.update(value if type(value) is str else f"\0{int(value) if whole else value!r}")
        return self._united(so_far, one)

    def merge(self, one: bytes | None, other: bytes | None) -> bytes | None:
        """All of both."""
        if one is None or other is None:
            return other if one is None else one
        return self._united(one, _sketches().compact_theta_sketch.deserialize(other))

    def result(self, so_far: bytes | None) -> int:
        """The number, rounded."""
        if so_far is None:
            return 0
        estimate: float = _sketches().compact_theta_sketch.deserialize(so_far).get_estimate()
        return round(estimate)

    def _united(self, so_far: bytes | None, sketch: Any) -> bytes:
        union = _sketches().theta_union(lg_k=self._lg_k)
        if so_far is not None:
            union.update(_sketches().compact_theta_sketch.deserialize(so_far))
        union.update(sketch)
        return bytes(union.get_result(ordered=True).serialize())


def _sketches() -> Any:
    try:
        import datasketches  # noqa: PLC0415 - it brings numpy in, which few programs need
    except ImportError as error:
        raise InvalidProgram(
            "Distinct", f"counts with the package datasketches, which is not installed: {error}"
        ) from error
    return datasketches

"""Requests as the gateway reads them: bodies, JSON, ids, moments and parameters, all bounded."""

import asyncio
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote
from uuid import UUID

from aiohttp import web
from pydantic_core import from_json

from actors.ids import derived_id
from actors.moments import checked_us
from gateways.web.problems import refusal
from runtime.driver.selecting import MAX_POSITION
from store.rows.json_text import DecodeError, decode_usual_json

#: An Idempotency-Key may have so many letters.
MAX_KEY = 256
#: A query string may have so many.
MAX_QUERY = 16 * 1024

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


async def body_of(request: web.BaseRequest, limit: int, read_s: float) -> bytes:
    """The whole body. Raises RequestRefused: 413 for more than `limit` bytes, 408 for one that
    does not come within `read_s`, 415 for one that is compressed."""
    if "Content-Encoding" in request.headers:
        raise refusal(
            415, "encoded", "Send it as it is", "bodies are taken without a Content-Encoding"
        )
    length = request.content_length
    if length is not None and length > limit:
        raise too_large(limit)
    content = request.content
    if content.is_eof():  # it came together with its head, which is the rule
        body = content.read_nowait()
    else:
        try:
            async with asyncio.timeout(read_s):
                body = await _read(content, limit)
        except TimeoutError as error:
            raise refusal(
                408, "too-slow", "The body did not come in time", f"it may take {read_s:g} s"
            ) from error
    if len(body) > limit:
        raise too_large(limit)
    return body


async def _read(content: Any, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := await content.readany():
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
    return b"".join(parts)


def too_large(limit: int) -> Exception:
    """More than a message may have."""
    return refusal(
        413, "too-large", "Too large",
        f"a message has at most {limit:,} bytes (gateway.body_limit)", limit=limit,
    )  # fmt: skip


def check_json(request: web.BaseRequest, *others: str) -> None:
    """Raises RequestRefused, 415, for a body that says that it is something else than JSON, or
    than the `others`. One that does not say what it is, is taken for it."""
    said = request.headers.get("Content-Type")
    if said is None:
        return
    kind = said.partition(";")[0].strip().lower()
    if kind != "application/json" and kind not in others and not kind.endswith("+json"):
        raise refusal(
            415, "not-json", "JSON is expected",
            f"the Content-Type is application/json, not {kind[:100]} (with curl: --json)",
        )  # fmt: skip


def json_of(text: bytes) -> Any:
    """The value of a JSON text. Raises RequestRefused, 400, for what is none."""
    try:
        return decode_usual_json(text)
    except (DecodeError, RecursionError, UnicodeError):
        try:  # it knows more numbers, and says where what is wrong
            return from_json(text, allow_inf_nan=False)
        except (ValueError, RecursionError) as error:
            raise refusal(400, "no-json", "This is no JSON", str(error)) from error


def segments_of(path: str) -> list[str]:
    """The parts of a path between its slashes, decoded; %2F stands for a slash within one.
    Raises RequestRefused, 400."""
    parts = path.split("/")[1:]
    if "%" not in path:
        return parts
    try:
        return [unquote(part, errors="strict") for part in parts]
    except UnicodeDecodeError as error:
        raise refusal(400, "no-utf-8", "This is no UTF-8", f"the path: {error.reason}") from error


def command_id_of(key: str | None, source: str) -> bytes | None:
    """The command id of an idempotency key. A UUID is the id itself, the same everywhere; of any
    other text one is derived, for this source alone. Raises RequestRefused, 400."""
    if key is None:
        return None
    text = key.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if not 0 < len(text) <= MAX_KEY:
        raise refusal(
            400, "bad-key", "This is no key", f"an Idempotency-Key has 1 to {MAX_KEY} letters"
        )
    if len(text) == 36:
        try:
            return UUID(text).bytes
        except ValueError:
            pass  # a text that is as long as one: a key like any other
    key_bytes = text.encode("utf-8", "surrogateescape")
    return derived_id(0, b"http\0" + source.encode() + b"\0" + key_bytes)


def moment_of_text(text: str, what: str) -> int:
    """Unix microseconds of an RFC 3339 time. Raises RequestRefused, 400."""
    if _RFC3339.fullmatch(text):
        try:
            return checked_us(datetime.fromisoformat(text.upper()).astimezone(UTC))
        except (ValueError, OverflowError) as error:
            raise refusal(400, "no-moment", "This is no time", f"{what}: {error}") from error
    raise refusal(
        400, "no-moment", "This is no time",
        f"{what}: an RFC 3339 time with a zone is expected, like 2026-07-01T12:00:00Z",
    )  # fmt: skip


class Parameters:
    """The parameters of a query, each of which is known, unless there may be `others`; those of
    `several` may be given again and again, and others. Raises RequestRefused, 400."""

    def __init__(
        self,
        query: str,
        known: tuple[str, ...],
        several: tuple[str, ...] = (),
        *,
        others: bool = False,
    ) -> None:
        if len(query) > MAX_QUERY:
            raise _bad_parameter("the query", f"it has more than {MAX_QUERY:,} letters")
        try:
            pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
        except ValueError as error:
            raise _bad_parameter("the query", str(error)) from error
        self._values: dict[str, list[str]] = {}
        self._known = known
        for name, value in pairs:
            if name not in known and not others:
                expected = f"it takes {', '.join(known)}" if known else "it takes none"
                raise _bad_parameter(f"{name[:100]!r}", f"no such parameter: {expected}")
            if name in self._values and name in known and name not in several:
                raise _bad_parameter(name, "it is given twice")
            self._values.setdefault(name, []).append(value)

    @property
    def others(self) -> dict[str, list[str]]:
        """Those that are not known, with all that is given of each."""
        return {name: said for name, said in self._values.items() if name not in self._known}

    def text(self, name: str) -> str | None:
        """A text, if it is given."""
        return next(iter(self._values.get(name, ())), None)

    def texts(self, name: str) -> list[str]:
        """All that are given."""
        return self._values.get(name, [])

    def positions(self, name: str, partitions: int) -> list[int] | None:
        """A position of each partition, as `positions_of` reads it, if it is given."""
        if (text := self.text(name)) is None:
            return None
        found = positions_of(text, partitions)
        if found is None:
            raise _bad_parameter(name, positions_expected(partitions))
        return found

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number."""
        text = self.text(name)
        if text is None:
            return default
        number = whole_number(text)
        if number is None:
            raise _bad_parameter(name, "a whole number is expected")
        if not least <= number <= most:
            raise _bad_parameter(name, f"it is from {least} to {most}")
        return number


def whole_number(text: str) -> int | None:
    """The number that decimal digits say, and nothing else does."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def positions_of(text: str, partitions: int) -> list[int] | None:
    """A position of each partition, in their order, with commas between them, or 0, where all of
    them begin; None for another text."""
    found = [whole_number(each.strip()) for each in text.split(",")]
    if found == [0]:
        return [0] * partitions
    numbers = [each for each in found if each is not None and each <= MAX_POSITION]
    return numbers if len(numbers) == len(found) == partitions else None


def positions_expected(partitions: int) -> str:
    """What a text is to be that is none."""
    if partitions == 1:
        return f"a whole number from 0 to {MAX_POSITION} is expected"
    return (
        f"{partitions} whole numbers with commas between them are expected, one for each "
        "partition, or 0"
    )


def _bad_parameter(name: str, problem: str) -> Exception:
    return refusal(400, "bad-parameter", "This parameter is not as expected", f"{name}: {problem}")

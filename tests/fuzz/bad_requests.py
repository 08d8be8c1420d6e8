"""Requests as bytes: right ones, ones that are wrong in a part, mutated ones, and plain noise."""

import json
from typing import Any

from hypothesis import strategies as st

#: Stands for a token that may do everything, and for one of a tenant.
ALL, TENANT = b"@all@", b"@tenant@"

_TYPES = ["boiler", "teapot", "device-twin", "Boiler", "", "boiler%2F", "..", "$x", "b" * 300]
_NAMES = ["a", "site-7-a", "%2F", "%00", "%ff", "..", "", "x" * 1100, "%F0%9F%98%80", "a%20b", "*"]
_MESSAGES = ["heat", "service", "fail", "break", "events", "$state", "", "heat%00", "report"]
_METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get"]

letters = st.text(max_size=12)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | letters,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(letters, inner, max_size=3),
    max_leaves=6,
)
_odd_json = st.sampled_from(
    [
        b"", b"{", b"[" * 5_000, b'{"celsius":1e400}', b'{"celsius":NaN}', b'"\xff"', b'"\\ud800"',
        b'{"celsius":1,"celsius":2}', b'{"celsius":' + b"9" * 5_000 + b"}", b"\xef\xbb\xbf{}",
        b'{"secret":"\\u0000"}', b" " * 2_000, b"null", b'{"a":' * 600 + b"1" + b"}" * 600,
    ]
)  # fmt: skip
_messages = st.sampled_from(
    [
        {"celsius": 5}, {"celsius": 95}, {"celsius": "5"}, {"celsius": -0.0}, {}, {"secret": "x"},
        {"by": "0b5e4e4b-4b6f-4f83-8a57-0d3f0a9e3c11", "on": "2026-01-02T03:04:05Z"},
        {"by": "x", "on": "x", "parts": [1]}, {"celsius": 5, "more": 1},
    ]
)  # fmt: skip
bodies = st.one_of(
    _messages.map(lambda value: json.dumps(value).encode()),
    json_values.map(lambda value: json.dumps(value).encode()),
    _odd_json,
    st.binary(max_size=60),
)


@st.composite
def _commands(draw: st.DrawFn) -> bytes:
    """A line of POST /v1/commands."""
    line: dict[str, Any] = {
        "source": draw(st.sampled_from(["boiler/a", "boiler/site-7-a", "teapot/a", "boiler", "/"])),
        "message": draw(st.sampled_from(["heat", "break", "service", "x", "$state"])),
        "data": draw(_messages | json_values),
    }
    if draw(st.booleans()):
        name = draw(st.sampled_from(["key", "happened_at", "source", "message", "more", ""]))
        line[name] = draw(json_values | st.sampled_from(["k", "2026-01-01T00:00:00Z", "x" * 300]))
    return json.dumps(line).encode()


_lines = st.lists(_commands() | bodies, max_size=5).map(b"\n".join)


_MEMBERS = ["time", "data", "data_base64", "id", "specversion", "type"]


@st.composite
def _events(draw: st.DrawFn) -> bytes:
    """What is sent to POST /v1/events."""

    def event() -> dict[str, Any]:
        found: dict[str, Any] = {
            "specversion": "1.0", "source": draw(st.sampled_from(["a", "site-7-a", "", "\0"])),
            "id": draw(st.sampled_from(["1", "2", ""])), "type": "reading",
            "data": draw(json_values),
        }  # fmt: skip
        if draw(st.booleans()):
            name = draw(
                st.sampled_from(["time", "data", "data_base64", "id", "specversion", "type"])
            )
            found[name] = draw(json_values)
        return found

    value: Any = (
        event() if draw(st.booleans()) else [event() for _ in range(draw(st.integers(0, 3)))]
    )
    return json.dumps(value).encode()


_KINDS = [
    b"application/json", b"application/x-ndjson", b"application/cloudevents+json",
    b"application/cloudevents-batch+json", b"text/plain", b"", b"application/json;charset=utf-16",
    b"multipart/form-data; boundary=x", b"\xff",
]  # fmt: skip
_HEADERS = [
    b"Idempotency-Key: k", b"Idempotency-Key: ", b"Idempotency-Key: " + b"x" * 300,
    b"Idempotency-Key: 0b5e4e4b-4b6f-4f83-8a57-0d3f0a9e3c11", b"Happened-At: yesterday",
    b"Happened-At: 2026-01-01T00:00:00Z", b"Happened-At: 0001-01-01T00:00:00+23:59",
    b"Content-Encoding: gzip", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked",
    b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 99999999999999999999",
    b"Expect: 100-continue", b"Expect: x", b"Upgrade: websocket\r\nConnection: Upgrade",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings", b"If-None-Match: *",
    b"If-None-Match: W/\"1-x\", \"\xff", b"Last-Event-ID: x", b"Last-Event-ID: -1",
    b"Last-Event-ID: 9223372036854775808", b"Cookie: a=b; \xff",
    b"ce-id: 1\r\nce-type: t\r\nce-source: s",
    b"ce-id: %ff\r\nce-type: t", b"Range: bytes=0-", b"X: " + b"x" * 9_000, b"Host: elsewhere",
    b"\xff: \xff", b": x", b"NoColon", b"Connection: keep-alive", b"Origin: null",
]  # fmt: skip
_QUERIES = [
    "", "", "", "?after=0", "?after=-1", "?limit=0", "?limit=1001", "?types=*",
    "?sources=*&sources=a",
    "?after=%ff", "?" + "x" * 17_000, "?after=0&after=1", "?types=", "?&&&", "?limit=1", "?after=a",
]  # fmt: skip


_RIGHT = [
    ("POST", "/v1/actors/boiler/a/heat", b"application/json"),
    ("POST", "/v1/actors/boiler/site-7-a/heat", b"application/json"),
    ("POST", "/v1/actors/boiler/a/service", b"application/json"),
    ("POST", "/v1/actors/boiler/a/fail", b"application/json"),
    ("POST", "/v1/commands", b"application/x-ndjson"),
    ("POST", "/v1/events", b"application/cloudevents+json"),
    ("POST", "/v1/events", b"application/cloudevents-batch+json"),
    ("GET", "/v1/actors/boiler/a", b""), ("GET", "/v1/actors/boiler/a/events", b""),
    ("GET", "/v1/actors/boiler", b""), ("GET", "/v1/events", b""), ("GET", "/openapi.json", b""),
    ("GET", "/readyz", b""), ("GET", "/docs", b""),
]  # fmt: skip
_PATHS = ["/docs/../v1", "//v1/commands", "*", "http://localhost/v1/commands", "/%2e%2e/", "", "x"]
_PARTS = ["method", "path", "query", "kind", "token", "headers", "version", "body"]


@st.composite
def _paths(draw: st.DrawFn) -> str:
    if draw(st.booleans()):
        return draw(st.sampled_from(_PATHS))
    parts = [draw(st.sampled_from(pool)) for pool in (_TYPES, _NAMES, _MESSAGES)]
    return "/v1/actors/" + "/".join(parts[: draw(st.integers(1, 3))])


@st.composite
def structured(draw: st.DrawFn) -> bytes:
    """A request that has all that one has, of which a part or two may be wrong."""
    method, path, kind = draw(st.sampled_from(_RIGHT))
    wrong = draw(st.sets(st.sampled_from(_PARTS), max_size=2))
    body = b""
    if "body" in wrong:
        body = draw(bodies)
    elif kind == b"application/x-ndjson":
        body = draw(_lines)
    elif kind.startswith(b"application/cloud"):
        body = draw(_events())
    elif method == "POST":
        body = draw(_messages.map(lambda value: json.dumps(value).encode()))
    if "method" in wrong:
        method = draw(st.sampled_from(_METHODS))
    if "path" in wrong:
        path = draw(_paths())
    if "query" in wrong:
        path += draw(st.sampled_from(_QUERIES))
    if "kind" in wrong:
        kind = draw(st.sampled_from(_KINDS))
    shown = draw(st.sampled_from([TENANT, b"thb_x", b""])) if "token" in wrong else ALL
    headers = [b"Host: localhost", b"Connection: close"]
    headers += [b"Content-Type: " + kind] if kind else []
    headers += [b"Authorization: Bearer " + shown] if shown else []
    if "headers" in wrong:
        headers += draw(st.lists(st.sampled_from(_HEADERS), min_size=1, max_size=2))
    if not any(each.startswith((b"Content-Length", b"Transfer-Enc")) for each in headers):
        headers.append(b"Content-Length: %d" % len(body))
    elif b"Transfer-Encoding: chunked" in headers:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    version = b"HTTP/1.1"
    if "version" in wrong:
        version = draw(st.sampled_from([b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b"", b"HTTP/1.1 x"]))
    head = b"%b %b %b" % (method.encode(), path.encode("utf-8", "surrogatepass"), version)
    return b"\r\n".join([head, *headers, b"", body])


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A request in which bytes were lost, doubled, or became others."""
    data = bytearray(draw(structured()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.integers(0, 3)):
            case 0:
                del data[at : at + draw(st.integers(1, 8))]
            case 1:
                data[at:at] = draw(st.binary(min_size=1, max_size=4))
            case 2:
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case _:
                data[at:at] = data[max(at - 6, 0) : at]
    return bytes(data)


#: What one client sends on one connection.
requests = st.one_of(
    structured(),
    structured(),
    mutated(),
    st.binary(max_size=80),
    st.lists(structured(), min_size=2, max_size=3).map(b"".join),
)

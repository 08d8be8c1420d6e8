"""The console as it is served: everything from here, nothing inline, the same for everybody."""

import re

import pytest

from gateways.console.pages import PATHS, POLICY
from gateways.web import known_tokens
from tests.tokens_in_memory import MemoryTokens
from tests.unit.http import serving

_LINKS = re.compile(rb'(?:src|href)="(/[^"]*)"|from "(\./[^"]+)"')


async def test_every_part_that_a_page_names_is_served_with_a_strict_policy() -> None:
    async with serving() as client:
        named = {"/"}
        for path in PATHS:
            said = await client.get(path)
            assert said.status == 200
            assert said.headers["Content-Security-Policy"] == POLICY
            assert said.headers["X-Content-Type-Options"] == "nosniff"
            for link, module in _LINKS.findall(said.body):
                named.add(link.decode() or f"/console/{module.decode().removeprefix('./')}")
    assert named - {"/docs"} == PATHS.keys()
    assert "unsafe" not in POLICY


async def test_nothing_is_named_that_lies_elsewhere_and_nothing_is_inline() -> None:
    async with serving() as client:
        for path in PATHS:
            if "uplot" in path:  # whose licence names its home
                continue
            text = (await client.get(path)).body.replace(b"http://www.w3.org/2000/svg", b"")
            assert b"://" not in text, path
            assert not re.search(
                rb"innerHTML|insertAdjacent|eval\(|<script>|\bstyle=|\bon\w+=\"", text
            )


async def test_the_console_itself_takes_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_tokens, "table_of", lambda _: MemoryTokens())
    async with serving(gateway={"tokens_required": True}) as client:
        for path in PATHS:
            assert (await client.get(path)).status == 200
        assert (await client.get("/v1/types")).status == 401


async def test_what_a_browser_has_is_not_sent_again() -> None:
    async with serving() as client:
        first = await client.get("/console/main.js")
        again = await client.get("/console/main.js", If_None_Match=first.headers["ETag"])
        other = await client.get("/console/main.js", If_None_Match='"another"')
    assert (first.status, again.status, other.status) == (200, 304, 200)
    assert again.body == b""

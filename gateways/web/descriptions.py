"""What the API looks like, for programs and for people: /openapi.json, and a page to try it."""

import json
from importlib.resources import files

from aiohttp import web

from gateways.web.catalogue import Catalogue
from gateways.web.known_tokens import KnownTokens
from gateways.web.openapi import openapi_of

#: The page asks this gateway alone, and has all that it needs in it.
_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"


class Descriptions:
    """Answers GET /openapi.json and GET /docs with its parts."""

    def __init__(self, catalogue: Catalogue, tokens: KnownTokens, partitions: int = 1) -> None:
        self._catalogue, self._tokens, self._partitions = catalogue, tokens, partitions
        self._made: tuple[frozenset[str], bytes] = (frozenset(), b"")  # of which code, and what
        folder = files("gateways.web") / "page"
        self._parts = {
            name: (folder / name).read_bytes() for name in ("docs.html", "docs.js", "docs.css")
        }

    async def openapi(self, *_: object) -> web.StreamResponse:
        """The document, of the actor types that the hosts know now."""
        types = list(self._catalogue.types.values())
        asked = bool(self._tokens.asked)
        of = frozenset(each.fingerprint + each.actor_type for each in types) | {str(asked)}
        if self._made[0] != of:
            document = openapi_of(types, tokens_asked=asked, partitions=self._partitions)
            self._made = of, json.dumps(document, ensure_ascii=False).encode()
        return web.Response(body=self._made[1], content_type="application/json")

    async def page(self, part: str, *_: object) -> web.StreamResponse:
        """A part of the page."""
        kinds = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
        return web.Response(
            body=self._parts[part],
            content_type=kinds[part.rpartition(".")[2]],
            charset="utf-8",
            headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"},
        )

"""Who may send requests: the one place that every request passes before anything is done.

Who is asked for a token: everybody, where other machines reach the gateway, and everywhere as soon
as there was one. Only on loopback, and where there never was a token, is nobody asked. There,
what a browser on this machine could be talked into by a page from elsewhere is refused: a request
to another host's name (DNS rebinding), and a write that comes from another origin (CSRF). Neither
works where a token is asked for: no browser sends one by itself.
"""

import ipaddress
from collections.abc import Callable

from aiohttp import web

from gateways.console.pages import PATHS
from gateways.tokens import presented
from gateways.web.allowed import Allowed, allow, unauthorized, unknown
from gateways.web.known_tokens import Known, KnownTokens
from gateways.web.problems import refusal
from runtime.settings.sections import GatewaySettings
from store.errors import StoreError

#: Asked for no token: probes have none, and pages are the same for everybody.
_OPEN = frozenset({"/livez", "/readyz", "/docs", "/docs/docs.js", "/docs/docs.css", *PATHS})


class Access:
    """Lets requests in, or does not. Lives in one event loop."""

    def __init__(
        self, settings: GatewaySettings, tokens: KnownTokens, now_s: Callable[[], float]
    ) -> None:
        self._own = settings.host
        self._rate = settings.token_rate
        self._tokens = tokens
        self._now_s = now_s
        self._everybody = Allowed(tokens.everybody, tokens)

    async def problem(self) -> str | None:
        """Why a gateway may not listen where its settings say; None if it may. Raises
        StoreUnavailable."""
        if is_loopback(self._own) or await self._tokens.any_live():
            return None
        return (
            f"gateway.host is {self._own}, which other machines can reach, and there is no token "
            "by which to know who they are: make one (thornback tokens create NAME --scope admin), "
            "or listen on 127.0.0.1"
        )

    async def admit(self, request: web.BaseRequest) -> Known:
        """Let a request in: it has what its sender may do from now on. Raises RequestRefused:
        401 where that is not said; 403 for another origin, 421 for another host; 429 beyond the
        rate of a token; 503 while it cannot be told."""
        tokens = self._tokens
        if tokens.asked is False:
            self._check_browser(request)
            allow(request, self._everybody)
            return tokens.everybody
        said = request.headers.get("Authorization")
        if said is None and request.raw_path.partition("?")[0] in _OPEN:
            allow(request, None)
            return tokens.everybody
        if tokens.asked is None:
            raise unknown()
        known = await self._known(said)
        allow(request, Allowed(known, tokens))
        if self._rate and not known.spend(self._rate, self._now_s()):
            raise refusal(
                429, "token-rate", "Too many requests",
                f"a token may send {self._rate} requests a second (gateway.token_rate)",
                retry_after_s=1,
            )  # fmt: skip
        return known

    async def _known(self, said: str | None) -> Known:
        if said is None:
            raise unauthorized("", "a token is asked for: Authorization: Bearer thb_...")
        kind, _, text = said.partition(" ")
        shown = presented(text.strip()) if kind.lower() == "bearer" else None
        if shown is None:
            raise unauthorized("invalid_token", "this is no token: Authorization: Bearer thb_...")
        try:
            known = await self._tokens.found(shown)
        except StoreError as error:
            raise unknown() from error
        if known is None:
            raise unauthorized("invalid_token", "this token is not known, revoked, or has expired")
        return known

    def _check_browser(self, request: web.BaseRequest) -> None:
        headers = request.headers
        host = headers.get("Host", "")
        if not self._is_ours(host):
            raise refusal(
                421, "other-host", "This is another host",
                f"the request is for {host[:200]!r}, and this gateway is on loopback alone",
            )  # fmt: skip
        if request.method == "GET":
            return
        origin = headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != host:
            raise refusal(
                403, "other-origin", "Not from this page",
                "pages of other origins may not send commands",
            )  # fmt: skip

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if host[-1:].isdigit() and ":" in host else host
        return name == self._own or is_loopback(name.strip("[]"))


def is_loopback(host: str) -> bool:
    """Does this name of a host lead to this very machine, for certain?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

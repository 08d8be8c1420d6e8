"""Who may send requests: the one place that every request passes before anything is done.

There are no tokens yet. So the gateway listens where this machine alone can reach it, and what
a browser on this machine could be talked into by a page from elsewhere is refused: a request to
another host's name (DNS rebinding), and a write that comes from another origin (CSRF).
"""

import ipaddress

from aiohttp import web

from gateways.web.problems import refusal
from runtime.settings.sections import GatewaySettings


class Access:
    """Lets requests in, or does not."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._own = settings.host

    @staticmethod
    def problem(settings: GatewaySettings) -> str | None:
        """Why a gateway may not listen where these settings say; None if it may."""
        if is_loopback(settings.host):
            return None
        return (
            f"gateway.host is {settings.host}, which other machines can reach, and there are no "
            "tokens to tell who they are: listen on 127.0.0.1, behind something that knows them"
        )

    def admit(self, request: web.BaseRequest) -> None:
        """Return if this request may be answered. Raises RequestRefused: 403, or 421 where it
        is for another host."""
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

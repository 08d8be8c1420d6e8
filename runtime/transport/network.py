"""Calls between machines: the frames of loopback over the machines' network, in TLS alone.

A call through Ray from one machine to another takes about a millisecond and wakes threads of four
processes. Where the settings have it (`transport.between_machines`), each process also answers on
its machine's address. Nothing is said there in the clear: TLS 1.3, and both ends show a certificate
of the cluster's CA. Names in certificates are not looked at. Who is who, the token says, as on
loopback; it does not travel, but a digest of it with the certificate that the caller was shown,
so that somebody in between who has another certificate of the same CA has nothing to pass on.

Whoever cannot be reached in this way is called through Ray, as if there were none of this, and is
tried again later.
"""

import asyncio
import hmac
import logging
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from runtime.settings.settings import ConfigurationError
from runtime.transport.certificates import Certificates
from store.own_sockets import keep_from_children

logger = logging.getLogger("thornback.transport")

#: What callers name as the server's name, which TLS wants to have one; nobody looks at it.
_NAME = "thornback"


class NetworkAddress(NamedTuple):
    """Where a process answers calls of other machines."""

    host: str
    port: int


class NotReached(Exception):
    """A process does not answer on the machines' network; the text says why."""


class Network:
    """One process on the network of its machine: how it shows itself, whom it turns away, and whom
    it calls through Ray all the same. Its methods are for any loop, each call of one for its own.
    """

    #: How long TLS may take to begin, and so many connections may be at that: the oldest one gives
    #: way. Each of them takes a file of this process, and any machine of the network can open one.
    HANDSHAKE_S, HANDSHAKES = 5.0, 64
    #: How long a process may take to be reached, and how much of that calls wait for: then they go
    #: through Ray, until it is.
    REACH_S, WAIT_S = 10.0, 1.0
    #: After which a process that was not reached is tried again, beside the calls through Ray.
    AGAIN_S = 5.0
    #: Of the same reason, strangers are logged so often.
    SAY_S = 60.0
    #: A machine that is gone says nothing. After so long the system takes it for gone.
    GONE_S = 10

    def __init__(
        self,
        certificates: Certificates,
        host: Callable[[], str],
        refused: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self.certificates = certificates
        self._host = host  # the address of this machine
        self._refused = refused  # told of each connection that is turned away
        self._said: dict[str, float] = {}
        #: Processes of other machines that are called through Ray, each with why.
        self.through_ray: dict[str, str] = {}

    def check(self) -> None:
        """Raises ConfigurationError where the certificates cannot be used."""
        self.certificates.newest()

    def listen(self, end: Callable[[bytes], asyncio.Protocol]) -> "Listening | None":
        """Answer on this machine's address; `end` makes a connection's end, given the certificate
        that the caller is shown. None where that cannot be done, which is logged."""
        try:
            self.check()
            return Listening(self, end, _bound(self._host(), self.GONE_S))
        except (ConfigurationError, OSError) as error:
            logger.error("other machines have to call this process through Ray: %s", error)
            return None

    async def reach(self, address: NetworkAddress, end: Callable[[], Any]) -> tuple[Any, bytes]:
        """A connection's end, and the certificate that was shown there. Raises NotReached."""
        loop = asyncio.get_running_loop()
        plain = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET)
        try:
            identity = self.certificates.newest()
            plain.setblocking(False)
            _notice_end(plain, self.GONE_S)
            async with asyncio.timeout(self.REACH_S):
                await loop.sock_connect(plain, tuple(address))
                transport, made = await loop.create_connection(
                    end, sock=plain, ssl=identity.client, server_hostname=_NAME
                )
        except (ConfigurationError, OSError, TimeoutError) as error:
            plain.close()
            raise NotReached(_why(error)) from error
        except BaseException:
            plain.close()
            raise
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        shown = tls.getpeercert(binary_form=True)
        assert shown is not None  # TLS would have failed
        return made, shown

    def turn_away(self, reason: str, who: Any) -> None:
        """Count, and have logged, that somebody was not let in."""
        self._refused(reason)
        now_s = time.monotonic()
        if now_s - self._said.get(reason, -self.SAY_S) >= self.SAY_S:
            self._said[reason] = now_s
            logger.warning("a connection from %s was refused: %s", who, reason)


class Listening:
    """Where a process answers calls of other machines, until it is closed. In its loop only."""

    #: After a connection could not be taken (there are no files left, say).
    PAUSE_S = 1.0

    def __init__(
        self, network: Network, end: Callable[[bytes], asyncio.Protocol], plain: socket.socket
    ) -> None:
        self._network, self._end, self._plain = network, end, plain
        self.address = NetworkAddress(*plain.getsockname()[:2])
        #: Handshakes under way, the oldest first.
        self._beginning: dict[asyncio.Task[None], socket.socket] = {}
        self._taking = asyncio.ensure_future(self._take())
        keep_from_children(self, Listening._descriptors)

    def close(self) -> None:
        """Listen no more; connections that stand are their ends' own."""
        self._taking.cancel()
        self._plain.close()
        for task in self._beginning:
            task.cancel()

    async def _take(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                plain, who = await loop.sock_accept(self._plain)
            except OSError as error:
                logger.warning("a connection could not be taken: %s", error)
                await asyncio.sleep(self.PAUSE_S)
                continue
            if len(self._beginning) >= Network.HANDSHAKES:
                oldest = next(iter(self._beginning))
                del self._beginning[oldest]
                oldest.cancel()
                self._network.turn_away("too many at a time", who)
            task = asyncio.ensure_future(self._shake_hands(plain, who))
            self._beginning[task] = plain
            task.add_done_callback(self._ended)

    async def _shake_hands(self, plain: socket.socket, who: Any) -> None:
        try:
            identity = self._network.certificates.newest()
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._end(identity.shown), plain, ssl=identity.server,
                ssl_handshake_timeout=Network.HANDSHAKE_S,
            )  # fmt: skip
        except (OSError, TimeoutError) as error:
            self._network.turn_away(_reason(error), who)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._beginning.pop(task, None)

    def _descriptors(self) -> list[int]:
        sockets = (self._plain, *self._beginning.values())
        return [each.fileno() for each in sockets if each.fileno() >= 0]


def digest(secret: bytes, shown: bytes) -> bytes:
    """What stands in for a secret towards whoever was shown this certificate."""
    return hmac.digest(secret, shown, "sha256")


def _bound(host: str, gone_s: int) -> socket.socket:
    """A socket at a port of this address that is free; what it takes notices an end, too."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        _notice_end(made, gone_s)
        made.setblocking(False)
        made.bind((host, 0))
        made.listen(128)
    except BaseException:
        made.close()
        raise
    return made


def _notice_end(plain: socket.socket, gone_s: int) -> None:
    """Have a connection end when the other machine is gone, or the way there: between machines
    nobody says that. What Linux has no name for elsewhere stays as the system has it."""
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    probes = 3
    for name, value in (
        ("TCP_KEEPIDLE", max(gone_s // 2, 1)),
        ("TCP_KEEPINTVL", max(gone_s // 2 // probes, 1)),
        ("TCP_KEEPCNT", probes),
        ("TCP_USER_TIMEOUT", gone_s * 1000),  # for what was sent and not acknowledged
    ):
        with suppress(AttributeError):
            plain.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


#: Why somebody was not let in, by what OpenSSL says.
_REASONS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "no certificate",
    "CERTIFICATE_VERIFY_FAILED": "a certificate that does not count",
    "HTTP_REQUEST": "no TLS",
    "HTTPS_PROXY_REQUEST": "no TLS",
    "WRONG_VERSION_NUMBER": "no TLS",
    "UNSUPPORTED_PROTOCOL": "an older TLS",
}


def _reason(error: Exception) -> str:
    said = getattr(error, "reason", None)
    return _REASONS.get(said or "", "no end of the handshake" if said is None else "no TLS")


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {Network.REACH_S:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not count: {error.verify_message}"
    return str(error) or type(error).__name__

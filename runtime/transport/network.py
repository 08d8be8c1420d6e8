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
from typing import Any, NamedTuple, Protocol

from runtime.settings.settings import ConfigurationError
from runtime.transport.certificates import Certificates
from store.own_sockets import descriptors_of, keep_from_children

logger = logging.getLogger("thornback.transport")

#: What callers name as the server's name, which TLS wants to have one; nobody looks at it.
_NAME = "thornback"
#: Bytes of the digests that stand in for token and proof.
DIGEST_BYTES = 32


class NetworkAddress(NamedTuple):
    """Where a process answers calls of other machines."""

    host: str
    port: int


class NotReached(Exception):
    """A process does not answer on the machines' network; the text says why."""


class End(Protocol):
    """A protocol that is given its connection when TLS stands. What Frames is."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It begins."""

    def data_received(self, data: bytes) -> None:
        """Something has come."""

    def connection_lost(self, error: Exception | None) -> None:
        """It has ended."""


class Network:
    """One process on the network of its machine: how it shows itself, whom it turns away, and whom
    it calls through Ray all the same. Its methods are for any loop, each call of one for its own.
    """

    #: How long TLS may take to begin, and so many connections may be at that: the oldest one gives
    #: way. Each of them takes a file of this process, and any machine of the network can open one.
    HANDSHAKE_S, HANDSHAKES = 5.0, 64
    #: How long a process may take to be reached.
    REACH_S = 3.0
    #: After which a process that was not reached is tried again, beside the calls through Ray.
    AGAIN_S = 30.0
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

    async def listen(self, end: Callable[[bytes], End]) -> "Listening | None":
        """Answer on this machine's address; `end` makes a connection's end, given the certificate
        that the caller is shown. None where that cannot be done, which is logged."""
        try:
            self.check()
            host = self._host()
            listening = _bound(host, self.GONE_S)
        except (ConfigurationError, OSError) as error:
            logger.error("other machines have to call this process through Ray: %s", error)
            return None
        made = Listening(self, end)
        await made.begin(listening)
        return made

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
    """Where a process answers calls of other machines, until it is closed."""

    def __init__(self, network: Network, end: Callable[[bytes], End]) -> None:
        self._network, self._end = network, end
        self._server: asyncio.Server | None = None
        self._beginning: dict[_Beginning, asyncio.Task[None]] = {}  # oldest first
        self.address = NetworkAddress("", 0)

    async def begin(self, listening: socket.socket) -> None:
        """Take connections of a socket."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Beginning(self), sock=listening)
        keep_from_children(self._server, lambda server: [each.fileno() for each in server.sockets])
        self.address = NetworkAddress(*self._server.sockets[0].getsockname()[:2])

    def close(self) -> None:
        """Listen no more; connections that stand are their ends' own."""
        if self._server is not None:
            self._server.close()
        for beginning in list(self._beginning):
            beginning.transport.abort()

    def knocked(self, beginning: "_Beginning") -> None:
        """Somebody has connected and said nothing yet."""
        if len(self._beginning) >= Network.HANDSHAKES:
            oldest = next(iter(self._beginning))
            self._beginning.pop(oldest)
            self._turn_away("too many at a time", oldest)
        task = asyncio.ensure_future(self._shake_hands(beginning))
        self._beginning[beginning] = task

    async def _shake_hands(self, beginning: "_Beginning") -> None:
        loop = asyncio.get_running_loop()
        try:
            identity = self._network.certificates.newest()
            end: Any = self._end(identity.shown)
            transport = await loop.start_tls(
                beginning.transport, end, identity.server, server_side=True,
                ssl_handshake_timeout=Network.HANDSHAKE_S,
            )  # fmt: skip
        except (OSError, TimeoutError) as error:
            if beginning in self._beginning:  # or it has given way, and was counted then
                self._turn_away(_reason(error), beginning)
        else:
            if transport is not None:
                end.connection_made(transport)
        finally:
            self._beginning.pop(beginning, None)

    def _turn_away(self, reason: str, beginning: "_Beginning") -> None:
        self._network.turn_away(reason, beginning.who)
        beginning.transport.abort()


class _Beginning(asyncio.Protocol):
    """A connection whose TLS has not begun."""

    def __init__(self, listening: Listening) -> None:
        self._listening = listening
        self.transport: Any = None
        self.who: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.who = transport.get_extra_info("peername")
        self.transport.pause_reading()  # what comes is for TLS
        keep_from_children(self, lambda beginning: descriptors_of(beginning.transport))
        self._listening.knocked(self)


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
#: All that `refused` is told.
REFUSALS = (
    *dict.fromkeys(_REASONS.values()), "no end of the handshake", "too many at a time", "no token"
)  # fmt: skip


def _reason(error: Exception) -> str:
    said = getattr(error, "reason", None)
    return _REASONS.get(said or "", "no end of the handshake" if said is None else "no TLS")


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {Network.REACH_S:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not count: {error.verify_message}"
    return str(error) or type(error).__name__

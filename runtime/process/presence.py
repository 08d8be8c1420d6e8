"""Whether somebody else is there: a process of this machine, or whoever listens at an address."""

import socket
from contextlib import closing

import psutil


def process_alive(pid: int, created_s: float) -> psutil.Process | None:
    """The process with this pid that was created at that moment, if it is alive: a pid may be
    given again."""
    try:
        process = psutil.Process(pid)
        same = process.create_time() == created_s
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def knock(address: str, timeout_s: float) -> None:
    """Return when somebody accepts a connection at HOST:PORT. Raises ValueError for what is no
    such address, and an OSError that says why nobody did: ConnectionRefusedError where nobody
    listens."""
    _connected(address, timeout_s).close()


#: What a client of HTTP/2 begins with: its preface, and settings that say nothing (RFC 9113).
_BEGINNING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
#: Of a frame: three bytes of its length, then its type.
_HEAD_BYTES, _SETTINGS = 4, 4


def speaks_http2(address: str, timeout_s: float, silence_s: float) -> bool:
    """Does whoever listens at HOST:PORT answer as a server of HTTP/2 does, like every one of
    gRPC? Raises what `knock` does, and TimeoutError where nobody says anything for `silence_s`."""
    with closing(_connected(address, timeout_s)) as connection:
        connection.settimeout(silence_s)
        head = b""
        try:
            connection.sendall(_BEGINNING)
            while len(head) < _HEAD_BYTES:
                received = connection.recv(_HEAD_BYTES - len(head))
                if not received:
                    return False
                head += received
        except ConnectionError:  # it does not take what it was sent
            return False
    return head[-1] == _SETTINGS


def _connected(address: str, timeout_s: float) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout_s)

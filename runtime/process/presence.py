"""Whether somebody else is there: a process of this machine, or whoever listens at an address."""

import socket
from contextlib import closing

import psutil

#: The system counts in such steps when processes begin.
_TICK_S = 0.01


def process_alive(pid: int, began_s: float) -> psutil.Process | None:
    """The process with this pid that began at that moment (began_s), if it is alive: a pid may be
    given again."""
    try:
        process = psutil.Process(pid)
        same = abs(began_s_of(pid) - began_s) < _TICK_S / 2
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def began_s_of(pid: int) -> float:
    """When a process began, in seconds since this machine did: by that it is told from others that
    had its pid, also after somebody has set the clock. Raises psutil.NoSuchProcess."""
    while True:
        machine_s = psutil.boot_time()
        began_s = psutil.Process(pid).create_time() - machine_s
        if psutil.boot_time() == machine_s:  # or the clock was set meanwhile
            return began_s


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

"""The way to PostgreSQL that can be cut, delayed and stalled."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from tests.chaos.way import Way

_LIMIT_S = 20.0


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(ConnectionResetError):  # it was cut
            while data := self.request.recv(1024):
                self.request.sendall(data)


@contextmanager
def echoing() -> Iterator[str]:
    """A server that sends back whatever it gets; where it is, as if it were a database."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"postgresql://me:secret@127.0.0.1:{server.server_address[1]}/log"
        server.shutdown()
        thread.join(_LIMIT_S)


@pytest.fixture
def way() -> Iterator[tuple[Way, socket.socket]]:
    with echoing() as url:
        made = Way(url)
        there = urlsplit(made.open())
        assert (there.username, there.password, there.path) == ("me", "secret", "/log")
        assert there.port is not None
        with socket.create_connection(("127.0.0.1", there.port), _LIMIT_S) as client:
            yield made, client
        made.close()


def test_what_is_sent_comes_through_also_late(way: tuple[Way, socket.socket]) -> None:
    through, client = way
    for each_s in (0.0, 0.01, 0.0):
        through.delay(each_s)
        client.sendall(b"hello")
        assert client.recv(1024) == b"hello"


def test_a_stalled_way_hands_on_what_it_has_held_up(way: tuple[Way, socket.socket]) -> None:
    through, client = way
    client.sendall(b"before")
    assert client.recv(1024) == b"before"
    through.stall()
    client.sendall(b"held up")
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(1024)
    through.resume()
    client.settimeout(_LIMIT_S)
    assert client.recv(1024) == b"held up"


def test_a_cut_ends_every_connection(way: tuple[Way, socket.socket]) -> None:
    through, client = way
    client.sendall(b"before")
    assert client.recv(1024) == b"before"
    through.cut()
    with pytest.raises(ConnectionResetError):
        client.recv(1024)

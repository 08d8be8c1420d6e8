"""What hands on to a database that listens on loopback."""

import socket
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from runtime.cluster.relay import NoRelay, Relay

LIMIT_S = 60.0


def test_what_comes_to_it_comes_to_the_database_and_back_until_it_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(LIMIT_S)
        relay = Relay("127.0.0.1", f"postgresql://me:secret@127.0.0.1:{_port(server)}/log")
        try:
            way = urlsplit(relay.url)
            assert (way.username, way.password, way.path) == ("me", "secret", "/log")
            assert way.port not in (None, _port(server))
            with socket.create_connection(("127.0.0.1", way.port or 0), LIMIT_S) as client:
                there, _ = server.accept()
                with there:
                    there.settimeout(LIMIT_S)
                    client.sendall(b"question")
                    assert there.recv(100) == b"question"
                    there.sendall(b"answer")
                    assert client.recv(100) == b"answer"
                assert client.recv(100) == b"", "one end has gone, and so does the other"
            kept = socket.create_connection(("127.0.0.1", way.port or 0), LIMIT_S)
        finally:
            relay.close()
        with kept, suppress(ConnectionResetError):
            assert kept.recv(100) == b"", "who was still there hears of its end"
        with pytest.raises(OSError):  # noqa: PT011 - nobody is there any more
            socket.create_connection(("127.0.0.1", way.port or 0), LIMIT_S)


def test_who_comes_while_the_database_is_away_hears_that() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = _port(free)
    relay = Relay("127.0.0.1", f"postgresql://me:secret@127.0.0.1:{port}/log")
    try:
        way = urlsplit(relay.url)
        client = socket.create_connection(("127.0.0.1", way.port or 0), LIMIT_S)
        with client, suppress(ConnectionResetError):
            assert client.recv(100) == b""
    finally:
        relay.close()


def test_an_address_that_is_none_of_this_machine_is_refused() -> None:
    with pytest.raises(NoRelay, match=r"hands on to the database at 203\.0\.113\.1"):
        Relay("203.0.113.1", "postgresql://me:secret@127.0.0.1:5432/log")


def _port(server: socket.socket) -> int:
    port: int = server.getsockname()[1]
    return port

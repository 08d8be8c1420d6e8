"""A readiness probe as it stands in a manifest, run against a made-up Ray and gateway."""

import re
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.place import free_port

LIMIT_S = 30.0


class Says(socketserver.StreamRequestHandler):
    """Answers any request with the server's status."""

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        assert isinstance(self.server, Server)
        self.wfile.write(b"HTTP/1.0 %d Said\r\n\r\n" % self.server.status)


class Server(socketserver.ThreadingTCPServer):
    """On a port of loopback."""

    daemon_threads = True

    def __init__(self, status: int, tls: ssl.SSLContext | None) -> None:
        super().__init__(("127.0.0.1", 0), Says)
        self.status = status
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)


@contextmanager
def listening(status: int | None, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """A port where every request is answered with a status; where nobody listens, for None."""
    if status is None:
        yield free_port()
        return
    with Server(status, tls) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def is_ready(
    command: Sequence[str],
    ray: int | None,
    gateway: int | None,
    *,
    tls: tuple[Path, Path] | None = None,
) -> bool:
    """What a probe says where Ray's agent and the gateway answer with these statuses, the latter
    by TLS where there are a certificate and a key; None for one that is not there."""
    context = None
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
    with listening(ray) as ray_port, listening(gateway, context) as gateway_port:
        ports = {"52365": str(ray_port), "8080": str(gateway_port)}
        script = re.sub(r"\b(52365|8080)\b", lambda found: ports[found[0]], command[-1])
        program = [sys.executable if part == "python" else part for part in command[:-1]]
        asked = subprocess.run(
            [*program, script], check=False, timeout=LIMIT_S, stderr=subprocess.DEVNULL
        )
    return asked.returncode == 0

"""Whether somebody else is there: a process of this machine, or whoever listens at an address."""

import socket

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
    host, _, port = address.rpartition(":")
    socket.create_connection((host.strip("[]"), int(port)), timeout_s).close()

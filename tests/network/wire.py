"""All that passes one machine's way to the others, read off the wire; needs root."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Of every protocol (linux/if_ether.h, ETH_P_ALL).
_ALL = 3


class Wire:
    """What was read, packet after packet."""

    def __init__(self) -> None:
        self.read = bytearray()

    def has(self, text: bytes) -> bool:
        """Has it passed? Not where it was cut by two packets: have it sent often."""
        return text in self.read


@contextmanager
def reading(interface: str) -> Iterator[Wire]:
    """Read in this block."""
    wire, enough = Wire(), threading.Event()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL)) as reader:
        reader.bind((interface, 0))
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        reader.settimeout(0.1)

        def read() -> None:
            while not enough.is_set():
                try:
                    wire.read += reader.recv(1 << 16)
                except TimeoutError:
                    continue

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield wire
        finally:
            enough.set()
            thread.join()

"""Lines out of a file or a pipe, as they come, and the file for those that are no good.

A pipe's lines are handed on as soon as they are there; nothing waits for a block to fill.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from io import SEEK_END
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

#: A line may have this many bytes.
MAX_LINE_BYTES = 1024 * 1024
#: Read at once, if there is so much.
BLOCK_BYTES = 4 * 1024 * 1024


class Readable(Protocol):
    """What lines are read from: a buffered binary stream."""

    def read1(self, size: int, /) -> bytes:
        """What there is, up to `size` bytes; waits only while there is nothing."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it was read, its newline included.

    One that is too long comes in several pieces, so that none needs much memory.
    """

    number: int  #: counted from 1
    raw: bytes
    too_long: bool = False
    continued: bool = False  #: the next piece of a line that is too long


def blocks(stream: Readable) -> Iterator[list[Line]]:
    """The lines of a stream, in lists of what was read at once."""
    number, start, too_long = 1, bytearray(), False
    while data := stream.read1(BLOCK_BYTES):
        lines: list[Line] = []
        for piece in _pieces(data):
            ended = piece.endswith(b"\n")
            if too_long:
                lines.append(Line(number, piece, too_long=True, continued=True))
            else:
                start += piece
                too_long = len(start) - ended > MAX_LINE_BYTES
                if ended or too_long:
                    lines.append(Line(number, bytes(start), too_long))
                    start.clear()
            if ended:
                number, too_long = number + 1, False
        yield lines
    if start:
        yield [Line(number, bytes(start))]


def _pieces(data: bytes) -> Iterator[bytes]:
    # Not splitlines: a carriage return alone ends no line, it is white space to JSON.
    *whole, rest = data.split(b"\n")
    yield from (line + b"\n" for line in whole)
    if rest:
        yield rest


class Rejects:
    """A file for lines that are no good, byte for byte. Made with the first of them.

    Where the input is still there afterwards, the rejects of an earlier run are replaced;
    those of a pipe exist nowhere else, so they are kept and added to.
    """

    def __init__(self, path: Path, *, keep: bool) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        if not keep and path.is_file():
            path.write_bytes(b"")

    def add(self, raw: bytes) -> None:
        """Keep a line, or a piece of one."""
        if self._file is None:
            self._file = self.path.open("ab")
            if _ends_within_a_line(self.path):
                self._file.write(b"\n")
        self._file.write(raw)

    def flush(self) -> None:
        """Let others see what there is."""
        if self._file is not None:
            self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()


def _ends_within_a_line(path: Path) -> bool:
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, SEEK_END)
        return file.read(1) != b"\n"

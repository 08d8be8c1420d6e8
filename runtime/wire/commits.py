"""What hosts, writer and bus send each other: appends, acknowledgements, commits."""

from array import array

import msgspec

from runtime.wire.error_codec import EncodedError
from runtime.wire.values import decode_any, encode
from store.appends import Acknowledged, Append, CheckpointMove, Commit, StateChange
from store.dead_letters import LetterChange
from store.errors import RowsRefused
from store.receipts import Receipt
from store.rows.layout import EncodedRows

#: Bytes of the rows of one append: msgpack has 32 bits for a length.
MAX_APPEND_BYTES = 2**32 - 1


class AppendCall(msgspec.Struct, array_like=True):
    """A host's append on its way to the writer (store/appends.py, Append)."""

    node: str
    epoch: int
    generation: int
    sequence: int
    tick: int
    types: dict[str, int]
    lengths: bytes
    rows: bytes
    #: Of each its name, epoch and position, count and digest of its receipt, and its watermark.
    checkpoints: list[tuple[str, int, int, int, bytes, int | None]] = []
    #: Of each its program and key, its data and when it is due.
    states: list[tuple[str, str, bytes | None, int | None]] = []
    letters: list[LetterChange] = []


class CommitCall(msgspec.Struct, array_like=True):
    """A commit on its way from the writer to the bus."""

    first_position: int
    types: dict[str, int]
    nodes: dict[str, int]
    lengths: bytes
    rows: bytes


def pack_append(append: Append) -> bytes:
    """An append as one piece: each argument of a Ray call costs what a hundred rows do.
    Raises RowsRefused for more than a piece can hold."""
    rows = append.rows
    if len(rows.data) > MAX_APPEND_BYTES:
        raise RowsRefused(f"they take {len(rows.data):,} bytes, {MAX_APPEND_BYTES:,} are allowed")
    return encode(
        AppendCall(
            append.node,
            append.epoch,
            append.generation,
            append.sequence,
            append.tick,
            dict(append.types),
            rows.lengths.tobytes(),
            bytes(rows.data),
            [
                (
                    each.name,
                    each.epoch,
                    each.position,
                    each.receipt.count,
                    each.receipt.digest,
                    each.watermark_us,
                )
                for each in append.checkpoints
            ],
            [(each.program, each.key, each.data, each.due_us) for each in append.states],
            list(append.letters),
        )
    )


def unpack_append(packed: bytes) -> Append:
    """The append of its bytes. Raises RowsRefused for bytes that are none."""
    try:
        call = _decode_append(packed)
        rows = EncodedRows(call.rows, array("I", call.lengths))
    except (msgspec.MsgspecError, ValueError) as error:
        raise RowsRefused(f"what arrived is no append: {error}") from error
    return Append(
        node=call.node,
        epoch=call.epoch,
        generation=call.generation,
        sequence=call.sequence,
        tick=call.tick,
        rows=rows,
        types=call.types,
        checkpoints=tuple(
            CheckpointMove(
                name=name,
                epoch=epoch,
                position=position,
                receipt=Receipt(count, digest),
                watermark_us=watermark_us,
            )
            for name, epoch, position, count, digest, watermark_us in call.checkpoints
        ),
        states=tuple(
            StateChange(program=program, key=key, data=data, due_us=due_us)
            for program, key, data, due_us in call.states
        ),
        letters=tuple(call.letters),
    )


def pack_commit(commit: Commit) -> bytes:
    """A commit as one piece."""
    rows = commit.rows
    return encode(
        CommitCall(
            commit.first_position,
            dict(commit.types),
            dict(commit.nodes),
            rows.lengths.tobytes(),
            bytes(rows.data),
        )
    )


def unpack_commit(packed: bytes) -> Commit:
    """The commit of its bytes."""
    call = _decode_commit(packed)
    rows = EncodedRows(call.rows, array("I", call.lengths))
    return Commit(first_position=call.first_position, rows=rows, types=call.types, nodes=call.nodes)


def pack_acknowledgement(done: Acknowledged | EncodedError) -> bytes:
    """(first position, commit time), or a refusal by name."""
    if isinstance(done, Acknowledged):
        return encode((done.first_position, done.recorded_us))
    return encode(done)


def unpack_acknowledgement(packed: bytes) -> Acknowledged | EncodedError:
    """What the writer answered."""
    first, second = decode_any(packed)
    if isinstance(first, str):
        return first, second
    return Acknowledged(first_position=first, recorded_us=second)


_decode_append = msgspec.msgpack.Decoder(AppendCall).decode

_decode_commit = msgspec.msgpack.Decoder(CommitCall).decode

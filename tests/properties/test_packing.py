"""Commands on the wire: the quick way to pack plain data makes what the usual one does."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from runtime.wire.commands import CommandPacker

plain = st.one_of(
    st.text(), st.integers(-(2**70), 2**70), st.floats(), st.booleans(), st.none()
)  # fmt: skip


@given(st.dictionaries(st.text(), plain, max_size=4))
@example({"beyond": 2**64, "below": -(2**63) - 1})
@example({"large": 2**64 - 1, "small": -(2**63)})
def test_plain_data_travels_as_any_other_does(data: dict[str, Any]) -> None:
    fields = ("counter/a", "note", bytes(16), 5, data, None, None)
    packer = CommandPacker()
    assert packer.pack_plain(fields) == packer.pack(fields)

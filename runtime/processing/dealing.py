"""Who of a group is to have which of its slots.

Every member works that out by itself, of what the store says: the members in the order in which
they joined, and who has which slot. Nobody is asked. Two of them may see different moments, and
then want the same slot, or give up one too many: a slot is taken only as it was seen, and the next
look puts it right."""

from collections.abc import Mapping, Sequence


def dealt(owners: Mapping[int, int], members: Sequence[int]) -> dict[int, int]:
    """Of each slot, the member that is to have it: shares differ by one slot at most, and no slot
    changes hands that need not. `owners` says who has each now; whoever is no member has it no
    longer. Without a member there is nothing to deal."""
    if not members:
        return {}
    had: dict[int, list[int]] = {member: [] for member in members}
    rest: list[int] = []
    for slot in sorted(owners):
        had.get(owners[slot], rest).append(slot)
    shares = _sizes({member: len(slots) for member, slots in had.items()}, len(owners))
    dealt = {slot: member for member in members for slot in had[member][: shares[member]]}
    for member in members:  # what nobody has goes first: it can be taken at once
        rest += had[member][shares[member] :]
    for member in members:
        for _ in range(shares[member] - len(had[member][: shares[member]])):
            dealt[rest.pop(0)] = member
    return dealt


def _sizes(had: Mapping[int, int], slots: int) -> dict[int, int]:
    """How many slots each is to have. Where they do not divide, who has more keeps one more, and
    among equals who joined before."""
    least, more = divmod(slots, len(had))
    by_size = sorted(had, key=lambda member: -had[member])
    return {member: least + (place < more) for place, member in enumerate(by_size)}

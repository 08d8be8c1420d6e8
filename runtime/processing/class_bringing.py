"""The class of an actor that its host does not know: whoever else has it brings it there."""

from runtime.driver.hosts import Hosts


async def bring_class(hosts: Hosts, actor_type: str, receiver: str) -> bool:
    """Have the host of a receiver know its class: another host may know it, or whoever has sent the
    message. Is there anybody? Raises ThornbackError."""
    code = await _class_known(hosts, actor_type)
    if code is None:
        code = await hosts.class_named(actor_type)
    if code is not None:
        await hosts.offer(receiver, code)
    return code is not None


async def _class_known(hosts: Hosts, actor_type: str) -> bytes | None:
    for known in await hosts.descriptions({}):
        if known.actor_type == actor_type and known.code is not None:
            return known.code
    return None

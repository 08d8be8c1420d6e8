"""The class of an actor that its host does not know: whoever else has it brings it there."""

from runtime.driver.hosts import Hosts


async def bring_class(hosts: Hosts, actor_type: str, receiver: str) -> bool:
    """Have the host of a receiver know its class: another host may know it, or whoever has sent the
    message. Is there anybody? Raises ThornbackError."""
    return await bring_class_from(hosts, hosts, actor_type, receiver)


async def bring_class_from(known: Hosts, hosts: Hosts, actor_type: str, receiver: str) -> bool:
    """The same for a receiver in another partition than those who may know it."""
    code = await _class_known(known, actor_type)
    if code is None:
        code = await known.class_named(actor_type)
    if code is not None:
        await hosts.offer(receiver, code)
    return code is not None


async def _class_known(hosts: Hosts, actor_type: str) -> bytes | None:
    for known in await hosts.descriptions({}):
        if known.actor_type == actor_type and known.code is not None:
            return known.code
    return None

"""A gateway that was drained by a directory which ended then, while the system goes on."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateways.web.gateway import Gateway
from gateways.web.serving import Serving
from runtime.settings.sections import GatewaySettings


class Ended(BaseException):
    """What the end of a process is here."""


def _end() -> None:
    raise Ended


async def test_it_begins_anew_for_who_goes_on_with_its_system() -> None:
    unused = cast(Any, None)
    serving = Serving(GatewaySettings(port=0), unused, unused, lambda: 0, unused)
    await serving.listen(None)
    gateway = cast(Any, Gateway.__new__(Gateway))
    gateway._serving = serving
    gateway._streams = gateway._bulk = SimpleNamespace(end=lambda: None)
    gateway._unasked, gateway._resting, gateway._started = None, None, True
    gateway._allowed = asyncio.Event()
    gateway._allowed.set()
    gateway.name, gateway.node, gateway.world = "gateway-0", "n", SimpleNamespace(end=_end)
    assert await gateway.ready() == "n"
    await gateway.drain()
    with pytest.raises(Ended):
        await gateway.ready()

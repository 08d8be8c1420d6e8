"""Who asks and does not listen is told of it, and who waits in vain, what his command waits for."""

import asyncio
import gc
import re
import subprocess
import sys

import pytest

from actors.actor import Command
from runtime.driver.connection import say_unheard
from runtime.errors import (
    AskTimeout,
    ConnectionClosed,
)
from tests.unit.chargers import Charger, Plug
from tests.unit.connecting import OwnLoop, PlayedWorld, connection, ref
from tests.unit.sending import Sending
from tests.virtual_time import virtual_time
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings


@virtual_time
async def test_an_ask_whose_failure_nobody_looks_at_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sending = Sending()
    sending.host.unknown = ["heard", "unheard", "also"]
    heard, _, _, fine = map(sending.ask, ("heard", "unheard", "also", "fine"))
    assert await fine == "fine"
    with pytest.raises(Exception, match="no actor type"):
        await heard
    assert "nobody looked" not in caplog.text
    del heard, fine, _
    gc.collect()
    assert re.search(
        r"an ask of counter/a failed, and nobody looked at its reply \(and 1 more .*\): no actor t",
        caplog.text,
    )


@virtual_time
async def test_an_ask_that_nobody_waits_for_before_the_end_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sending = Sending()
    sending.host.swallowing = ["heard", "unheard"]
    heard, unheard = sending.ask("heard"), sending.ask("unheard")
    sending.channel.close(ConnectionClosed("here"))
    with pytest.raises(ConnectionClosed):
        await heard
    del heard, unheard
    gc.collect()
    assert "an ask of counter/a was unanswered when its connection was closed" in caplog.text
    assert "Say .result() or await, or flush() before you close" in caplog.text


class Ping(Command):
    """Whatever."""


ENDS = """
import threading
from dataclasses import dataclass

from thornback import Actor, Command, handles
from thornback.testing.in_process import InProcessSystem
from thornback.testing.settings import small_settings


class Plug(Command):
    pass


@dataclass
class Charge:
    cars: int = 0


class Stuck(Actor[Charge]):
    @handles
    def plug(self, message: Plug) -> None:
        threading.Event().wait()


system = InProcessSystem(small_settings({}, type="memory"))
failed = system.actor("charger", "a").ask(Plug())
system.flush().result()
lost = system.actor(Stuck, "b").ask(Plug())
"""


def test_a_program_that_ends_says_whom_it_has_not_heard() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDS], capture_output=True, text=True, timeout=120, check=True
    )
    assert "an ask of charger/a failed, and nobody looked at its reply: no actor" in ended.stderr
    assert (
        "the program ends with unanswered commands (1), first plug for stuck/b: they may never "
        "have been sent. Say .result() or await, or flush() before it ends"
    ) in ended.stderr


async def test_a_program_that_ends_says_so_of_each_of_its_connections(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first, second = (connection(PlayedWorld(), OwnLoop()) for _ in range(2))
    ref(first, "counter/a").tell(Ping())
    ref(second, "counter/b").tell(Ping())
    say_unheard()
    for source in ("counter/a", "counter/b"):
        assert f"first ping for {source}" in caplog.text
    first.close()
    second.close()
    await asyncio.sleep(0)


@virtual_time
async def test_a_timeout_names_actor_command_and_host_and_what_that_is_at() -> None:
    sending = Sending()
    sending.host.swallowing = ["stuck"]
    stuck = sending.ask("stuck")
    await asyncio.sleep(1)  # it has left, so the next one travels behind it
    sending.host.swallowing.append("behind")
    behind = sending.ask("behind")
    with pytest.raises(AskTimeout, match=r"counter/a: no answer within .* to 'echo': host has it"):
        await stuck
    with pytest.raises(AskTimeout, match="has it, and echo for counter/a before it; where a hand"):
        await behind

    unreachable = Sending()
    unreachable.found.clear()
    with pytest.raises(AskTimeout, match="to 'echo': host was not reached"):
        await unreachable.ask("lost")


def test_that_nobody_goes_through_the_replies_of_an_ask_many_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with InProcessSystem(small_settings({}, type="memory")) as system:
        charger = system.actor(Charger, "a")
        assert len(list(system.ask_many([(charger, Plug())]))) == 1
        left = iter(system.ask_many([(charger, Plug()), (charger, Plug())]))
        next(left)
        del left
        gc.collect()
        assert "nobody went through" not in caplog.text
        system.ask_many([(charger, Plug())])
        gc.collect()
    assert "nobody went through the replies of an ask_many, so nothing of it was" in caplog.text

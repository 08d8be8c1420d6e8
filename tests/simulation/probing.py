"""After quiet: whoever was fenced off finds out, and every actor answers."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.simulation import shipped
from tests.simulation.broadcasts import finish_broadcasts
from tests.simulation.drivers import Driver
from tests.simulation.erasing import finish_erasings
from tests.simulation.fencing import fenced_off
from tests.simulation.finds import finish_finds
from tests.simulation.history import Call
from tests.simulation.lives import live
from tests.simulation.plan import Step

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

#: Seconds in which a process that finds itself fenced off is back.
BACK_S = 15.0
#: How long every actor may take to answer in the end.
ANSWERED_S = 20.0
#: Whoever is stopped says so: messages that are delivered late may have stopped it again.
_ANSWERS = ("", "ActorStopped", "ActorRestarting")


def knock(simulation: "Simulation") -> None:
    """A process that was fenced off, and has had nothing to store since, finds out with
    the next that it has, and a host not before the writer has. Each may cost a call."""
    processes = simulation.cluster.processes.values()
    for turn in range(len(processes)):
        lives = [process.incarnation for process in processes]
        if not any(life is not None and fenced_off(simulation, life) for life in lives):
            return
        knocking = simulation.driver(f"knocker-{turn}")
        hosted = [name for name in simulation.cluster.processes if name.startswith("shipped/")]
        for number, source in enumerate([*ledgers_of(simulation), *hosted], 1000 * (turn + 1)):
            note = {"token": -number, "times": 1}
            step = Step(-number, 0.0, "ask", source, "Note", note)
            actor = shipped.Shipped2 if source in hosted else None
            knocking.holder.create_task(knocking.ask(step, actor))
        simulation.loop.run_until(simulation.loop.time() + BACK_S)


def ledgers_of(simulation: "Simulation") -> list[str]:
    """The actors that there are, of those that answer anybody."""
    found = {record.source for record in simulation.records()} | {"ledger/0"}
    found |= set(simulation.cluster.processes)  # dedicated hosts have their actors' names
    return sorted(source for source in found if source.startswith(("ledger/", "vault/")))


def probe(simulation: "Simulation") -> None:
    """After quiet every actor answers a driver that comes new, and those that were there."""
    ledgers, unanswered = ledgers_of(simulation), "after quiet not every actor answers"
    simulation.prober = prober = simulation.driver("prober")
    probing = [prober.start(_ask_all(simulation, prober, ledgers))]
    simulation.wait(probing, ANSWERED_S, unanswered)
    finish_erasings(simulation, prober)
    finish_broadcasts(simulation, prober)
    finish_finds(simulation, prober)
    for driver in simulation.drivers.values():
        if not driver.dead:
            probing.append(driver.start(_ask_states(simulation, driver, ledgers)))
            simulation.wait(probing, ANSWERED_S, unanswered)


async def _with_room(ask: Callable[[Any], Awaitable[Call]], what: Any) -> Call:
    """An answer; for a while again where the mailbox is full: it may be, of what actors tell
    one another because of what is asked here."""
    call = await ask(what)
    for _ in range(int(ANSWERED_S * 5)):
        if call.error != "MailboxFull":
            break
        await asyncio.sleep(0.1)
        call = await ask(what)
    return call


async def _ask_states(simulation: "Simulation", driver: Driver, sources: list[str]) -> None:
    for source in sources:
        call = await _with_room(driver.state, source)
        if call.error == "HostUnavailable" and "has other hosts" in str(call.arguments):
            # It had not spoken to anybody since, and is told so once: decision 0034.
            call = await _with_room(driver.state, source)
        replaced = driver.world.cluster is not simulation.cluster
        ended = replaced or bool(simulation.history.away_s)
        if ended and call.error in ("AskTimeout", "HostUnavailable"):
            # Its deadline came while it found out that the host has ended.
            call = await _with_room(driver.state, source)
        if call.error not in (("SystemReplaced",) if replaced else _ANSWERS):
            simulation.history.complain(
                f"after quiet {source} answers {driver.name} {call.error}{call.arguments}"
            )


async def _ask_all(simulation: "Simulation", prober: Driver, sources: list[str]) -> None:
    for number, source in enumerate(sources):
        await live(prober, Step(-900_000 - number, 0.0, "life", source, "Start"))
        note = Step(-1 - number, 0.0, "ask", source, "Note", {"token": -number, "times": 1})
        call = await _with_room(prober.ask, note)
        if call.error == "AskTimeout":
            # A second may pass in messages that are slow, where its host has to find another
            # writer first. Who is stuck does not answer a second time either.
            call = await _with_room(prober.ask, replace(note, repeats=note.number))
        for each in (call, await _with_room(prober.state, source)):
            if each.error not in _ANSWERS:
                simulation.history.complain(f"after quiet {source}: {each.error}{each.arguments}")

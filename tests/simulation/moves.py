"""Shards that move while drivers are at work: what is planned of it, and how it is done.

An operator has the directory move shards of actors that drivers speak to, one after another or many
at once, to and fro before anybody has heard of the first, or each host's to the next one; and asks
again while the directory is away. What goes wrong beside it strikes in the very
moment of a move, too: who gives, who gets, who commits, who has it done.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError

from actors.errors import ThornbackError
from actors.naming import actor_type_of
from runtime.driver.promoting import demote, promote
from runtime.driver.scaling import Ask, scale
from runtime.topology.names import DIRECTORY_ACTOR, host_name, number_of_host, promoted_name
from runtime.topology.placement import shard_of
from tests.simulation.plan import ACTIVE_S, Fault, Setup, Step
from tests.simulation.planned_faults import FIRST_FAULT_S
from thornback.simulation.draws import stream

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation
    from thornback.simulation.scheduler import Owner

T = TypeVar("T")

#: Of plans with several hosts, so many have moves.
CHANCE = 0.4
#: Of those, so many are brought to another number of hosts.
SCALES = 0.4
#: Of those, so many have shards that are promoted.
PROMOTES = 0.4
#: How long an operator lets the directory try.
MOVE_S = 8.0
#: How long somebody scales who is not interrupted.
SCALE_S = 20.0
#: How long somebody demotes who is interrupted.
INTERRUPTED_S = 0.1
#: Between two tries to reach a directory that is away.
PAUSE_S = 0.1
#: What strikes in the moment of a move does so within so many seconds.
MOMENT_S = 0.03


def plan_moves(
    seed: int, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """Add moves to the faults of a plan, and what goes wrong in their moment."""
    draw = stream(seed, "moves")
    if setup.hosts < 2 or draw.random() >= CHANCE or any(one.other == "busy" for one in faults):
        return
    lasts_s = max(sum(step.pause_s for step in each) for driver in strands for each in driver)
    number = len(faults) + 100
    for _ in range(draw.choice((1, 2, 4, 8))):
        at_s = round(draw.uniform(FIRST_FAULT_S, min(FIRST_FAULT_S + lasts_s, ACTIVE_S)), 4)
        to = host_name(draw.randrange(setup.hosts))
        faults.append(Fault(number, at_s, "move", other=to, amount=draw.choice((1, 1, 2, 5, 99))))
        number += 1
        if draw.random() < 0.4:
            moment_s = round(at_s + draw.uniform(0.0, MOMENT_S), 4)
            kind = draw.choice(("crash", "crash", "replace", "hang", "move late", "calls lost"))
            target = draw.choice((to, *map(host_name, range(setup.hosts)), "writer", "directory"))
            if kind == "move late":
                target, moment_s = "database", at_s
            seconds = round(draw.choice((draw.uniform(0.0, 0.1), draw.uniform(0.1, 3.0))), 3)
            amount = 1 if kind == "calls lost" else round(draw.uniform(0.05, 2.0), 3)
            faults.append(Fault(number, moment_s, kind, target, seconds=seconds, amount=amount))
            number += 1
    also = stream(seed, "moves to and fro")
    for fault in [one for one in faults if one.kind == "move"]:
        shape = also.random()
        if shape < 0.6:
            to = also.choice(("around", fault.other))
            back_s = round(also.uniform(0.001, also.choice((0.02, 0.2, 2.5))), 4)
            faults[faults.index(fault)] = replace(fault, other=to, seconds=back_s)
            kind, lost = also.choice(
                (("move late", ""), *(("move unheard", "lost"),) * 2, ("move unheard", ""))
            )
            seconds = round(also.uniform(0.0, also.choice((0.02, 0.2, 3.0))), 4)
            faults.append(Fault(number, fault.at_s, kind, "database", lost, seconds))
            number += 1
        elif shape < 0.75:
            away_s, down_s = round(also.uniform(0.1, 1.0), 3), round(also.uniform(0.01, 0.2), 3)
            host = host_name(also.randrange(setup.hosts))
            faults.append(Fault(number, fault.at_s, "dies as asked", host, "", away_s, down_s))
            number += 1
    if draw.random() < SCALES:
        at_s = round(draw.uniform(FIRST_FAULT_S, min(FIRST_FAULT_S + lasts_s, ACTIVE_S)), 4)
        interrupted_s = round(draw.choice((SCALE_S, draw.uniform(0.02, 0.5))), 3)
        hosts = draw.choice((1, 2, 3, 4))
        faults.append(Fault(number, at_s, "scale", seconds=interrupted_s, amount=hosts))
    faults += _promotions(seed, number + 1, min(FIRST_FAULT_S + lasts_s, ACTIVE_S))
    faults.sort(key=lambda fault: fault.at_s)


def _promotions(seed: int, number: int, until_s: float) -> list[Fault]:
    """Shards are promoted, and demoted a while later, perhaps by somebody who is interrupted."""
    draw = stream(seed, "promotions")
    if draw.random() >= PROMOTES:
        return []
    faults = []
    for each in range(draw.choice((1, 1, 2, 3))):
        at_s = round(draw.uniform(FIRST_FAULT_S, draw.choice((FIRST_FAULT_S, until_s))), 4)
        for_s = round(draw.choice((draw.uniform(0.0, 0.3), *(draw.uniform(0.3, ACTIVE_S),) * 2)), 3)
        which = draw.randrange(10_000)  # of the commands: whose shard it is
        faults.append(Fault(number + each, at_s, "promote", seconds=for_s, amount=which))
    return faults


async def move(simulation: "Simulation", operator: "Owner", fault: Fault) -> None:
    """Have shards moved to a host; as many as actors that drivers speak to."""
    draw = stream(simulation.loop.seed, "fault", fault.number)
    shards = sorted({shard_of(source) for source in _pooled_sources(simulation)})
    chosen = draw.sample(shards, min(int(fault.amount), len(shards)))
    table = simulation.database.shards
    assert table is not None
    theirs: dict[str, list[int]] = {}
    for shard in chosen:
        theirs.setdefault(table.hosts[shard], []).append(shard)
    hosts = sorted(one for one in set(table.hosts) if number_of_host(one) is not None)
    there = {fault.other: chosen}
    if fault.other == "around":  # each host's go to the next one
        there = {}
        for one, some in theirs.items():
            there.setdefault(hosts[hosts.index(one) - 1 if one in hosts else 0], []).extend(some)
    await asyncio.gather(
        *(_have(simulation, operator, one, some) for one, some in there.items()),
        *(_back(simulation, operator, one, some, fault.seconds) for one, some in theirs.items()),
    )


async def _back(
    simulation: "Simulation", operator: "Owner", host: str, shards: list[int], after_s: float
) -> None:
    """Have shards moved back to whoever had them, perhaps before he knows that they have left."""
    if after_s:
        await asyncio.sleep(after_s)
        await _have(simulation, operator, host, shards)


async def _have(simulation: "Simulation", operator: "Owner", to: str, chosen: list[int]) -> None:
    world = simulation.world_of(operator)
    until_s = simulation.loop.time() + MOVE_S
    while simulation.loop.time() < until_s:
        try:
            directory = await world.handle(DIRECTORY_ACTOR)
            table = await directory.move_shards.remote(chosen, to, MOVE_S)
        except ActorUnavailableError:
            await asyncio.sleep(PAUSE_S)
        except (ActorDiedError, ValueError):
            return  # the system is drained
        except RayTaskError as error:
            if not isinstance(error.cause, ThornbackError):
                raise
            return  # it has not moved in time, or the system is drained
        else:
            if any(table.hosts[shard] != to for shard in chosen) and _alone(simulation):
                simulation.history.complain(f"shards were said to be at {to}, and are not")
            simulation.moves += 1
            return


async def scale_hosts(simulation: "Simulation", operator: "Owner", fault: Fault) -> None:
    """Have another number of hosts. Whoever does it is interrupted after a while, and somebody else
    begins anew; what cannot be done within its time is left as it is."""
    hosts = int(fault.amount)
    ask = _asking(simulation, operator)

    async def scaled(limit_s: float) -> bool:
        table = await _within(limit_s, scale(ask, hosts, lambda _: None))
        if table is None:
            return False
        if len(table.by_host()) != hosts and _alone(simulation):
            simulation.history.complain(f"{len(table.by_host())} hosts have shards, not {hosts}")
        return True

    if not await scaled(fault.seconds) and not await scaled(SCALE_S):
        return
    simulation.moves += 1
    if _alone(simulation):
        names = map(host_name, range(hosts))
        left = {one for one in simulation.cluster.processes if number_of_host(one) is not None}
        if left != set(names):
            simulation.history.complain(f"scaled to {hosts} hosts, there are {sorted(left)}")


async def promote_shards(simulation: "Simulation", operator: "Owner", fault: Fault) -> None:
    """Have a shard have a host of its own, and give that back after a while. Whoever does it may be
    interrupted, and somebody else begins anew."""
    sources = _pooled_sources(simulation)
    if not sources:
        return
    shard = shard_of(sources[int(fault.amount) % len(sources)])
    ask = _asking(simulation, operator)
    if await _within(SCALE_S, promote(ask, shard)) is None:
        return
    simulation.moves += 1
    await asyncio.sleep(fault.seconds)
    if await _within(INTERRUPTED_S, demote(ask, shard)) is None:
        host = await _within(SCALE_S, demote(ask, shard))
        if host == promoted_name(shard):
            simulation.history.complain(f"shard {shard} was demoted, and is at {host}")


def _asking(simulation: "Simulation", operator: "Owner") -> Ask:
    """What the directory answers, which may be away."""
    world = simulation.world_of(operator)

    async def ask(method: str, *arguments: Any) -> Any:
        while True:
            try:
                directory = await world.handle(DIRECTORY_ACTOR)
                return await getattr(directory, method).remote(*arguments)
            except ActorUnavailableError:
                await asyncio.sleep(PAUSE_S)

    return ask


async def _within(limit_s: float, work: Awaitable[T]) -> T | None:
    """What some work comes to; None where it is not done in time, or cannot be."""
    try:
        async with asyncio.timeout(limit_s):
            return await work
    except (TimeoutError, ActorDiedError, ValueError, ThornbackError):
        return None
    except RayTaskError as error:
        if not isinstance(error.cause, ThornbackError):
            raise
        return None


def _alone(simulation: "Simulation") -> bool:
    """Does nobody else move anything?"""
    kinds = [fault.kind for fault in simulation.plan.faults]
    back = any(fault.seconds for fault in simulation.plan.faults if fault.kind == "move")
    alone = kinds.count("move") + kinds.count("scale") + kinds.count("promote") == 1
    return alone and not back and not {"drain", "take over"} & set(kinds)


def _pooled_sources(simulation: "Simulation") -> list[str]:
    """Those of all commands, each as often as it is sent one."""
    dedicated = simulation.plan.setup.dedicated
    steps = [step for driver in simulation.plan.strands for strand in driver for step in strand]
    steps += [part for step in steps for part in step.parts]
    return [
        one.source for one in steps if one.source and actor_type_of(one.source) not in dedicated
    ]

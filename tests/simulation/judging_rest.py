"""After quiet: nothing is in flight, everything is within its bounds, nobody died unseen."""

import gc
from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from runtime.host.effects import Effects
from runtime.partition.bus import Bus
from runtime.partition.writer import WriterActor
from runtime.processing.company import Company
from runtime.processing.hearing import Hearing
from runtime.processing.worker import Worker
from runtime.topology.names import may_have_shards
from tests.simulation.failing_programs import STANDING
from tests.simulation.fencing import fenced_off

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation
    from thornback.simulation.processes import Incarnation


def judge_idle(simulation: "Simulation", due: Collection[int]) -> list[str]:
    """Every process has come to life again although nobody called it, unless nobody needs it,
    and the bus has what is due."""
    wrong: list[str] = []
    for process in simulation.cluster.processes.values():
        life = process.incarnation
        if life is not None and not life.instance._started:
            if _is_needed(life, simulation):
                wrong.append(f"{life.name} has not come to life: {life.instance.trouble}")
        elif life is not None and isinstance(life.instance, Bus):
            head = life.instance._buffer.head
            if head < max(due, default=0):
                wrong.append(f"{life.name} stands at {head} of {max(due)}, and nobody tells it")
        elif life is not None and isinstance(life.instance, WriterActor):
            wrong += _judge_idle_writer(life, simulation, due)
    return wrong


def _judge_idle_writer(
    life: "Incarnation", simulation: "Simulation", due: Collection[int]
) -> list[str]:
    """A writer knows what is committed although nobody appends, and has told the bus: whoever
    drains it waits for that. One that was fenced off learns of it with its next append."""
    if fenced_off(simulation, life):
        return []
    position, told = life.instance._commits.position, life.instance._bus_knows
    if position < max(due, default=0):
        return [f"{life.name} stands at {position} of {max(due)}, and does not look"]
    if told < position:
        return [f"{life.name} has told the bus of {told}, stands at {position}, and lets it be"]
    return []


def _is_needed(life: "Incarnation", simulation: "Simulation") -> bool:
    """A dedicated host comes to life with the first call of it, and tries again for as long as
    somebody waits. Where all who waited have been told that it does not start, it has left nothing
    undone, owes nobody an answer, and rests until the next call. A pooled host that is added comes
    to life for whoever adds it; where that one has given up before any shards came, it rests."""
    source = life.process.name
    shards = simulation.database.shards
    if life.number == 1 and may_have_shards(source) and shards is not None:
        return bool(shards.of(source))
    if life.number > 1 or source.partition("/")[0] not in simulation.plan.setup.dedicated:
        return True
    return any(
        channel.host == source and channel.unanswered()
        for driver in simulation.drivers.values()
        if not driver.dead
        for channel in driver.connection.channels.all()
    )


def judge_rest(simulation: "Simulation") -> list[str]:
    """Look at every living process."""
    wrong: list[str] = []
    for process in simulation.cluster.processes.values():
        life = process.incarnation
        if life is None:
            wrong.append(f"{process.name} did not come back")
        elif life.instance._started:
            kind = _judge_worker if isinstance(life.instance, Worker) else _judge_host
            judge = _JUDGES.get(process.name, kind)
            wrong += [f"{life.name}: {problem}" for problem in judge(life.instance, simulation)]
    return wrong + _judge_claim(simulation)


def _judge_claim(simulation: "Simulation") -> list[str]:
    """The system that runs has its database, and nobody else may take that for free."""
    claim, directory = simulation.database.claim, simulation.cluster.processes.get("directory")
    if directory is None:
        return ["the system has no directory"]
    system = directory.lives[-1].instance.world.system(simulation.settings)
    if claim is None or claim.holder != system:
        return [f"the claim of {system} is {claim}"]
    return [f"{system} runs, and its claim is given up"] if claim.given_up else []


def judge_replaced(simulation: "Simulation") -> list[str]:
    """Of a system that has lost its database nothing is left but its directory, and whoever
    subscribes there has heard of it."""
    wrong = [
        f"of a system that was replaced {left} are left"
        for cluster in simulation.clusters[:-1]
        if (left := sorted(set(cluster.processes) - {"directory"}))
    ]
    there = {
        driver.label
        for driver in simulation.drivers.values()
        if driver.world.cluster is not simulation.cluster and not driver.dead
    }
    return wrong + [
        f"subscription {reading.number} goes on in a system that was replaced"
        for reading in simulation.history.readings
        if reading.driver in there and reading.stays and not reading.closed
    ]


def _judge_host(host: Any, simulation: "Simulation") -> list[str]:
    wrong = []
    if host._mailbox._bytes:
        wrong.append(f"{host._mailbox._bytes} bytes of what was answered hold room in its mailbox")
    if host._mailbox.unanswered:
        wrong.append(f"{host._mailbox.unanswered} commands hold room in its mailbox")
    if not host._living or host._replaced:
        wrong.append("it works no more")
    executor = host._executor
    wrong += _judge_memory(executor._recent)
    left = {
        "attempts are being finished": executor._finishing,
        "attempts are under way": executor._in_flight,
        "batches are to be run again": executor._recovery._batches,
        "senders are remembered for what was turned away": executor._recovery._given_up,
    }
    if not executor._answering._snapshots.idle:
        wrong.append("snapshots are being saved")
    return wrong + [f"{len(some)} {what}" for what, some in left.items() if some]


def _judge_worker(worker: Any, simulation: "Simulation") -> list[str]:
    run, wrong = worker._run, []
    if isinstance(run, Hearing):
        return _judge_posting(run)
    if not hasattr(run, "_keys"):
        return [f"it has not begun: {run.facts.trouble}"]
    for companion in run.companions if isinstance(run, Company) else ():
        wrong += _judge_companion(companion, run)
    if run.program.name in STANDING and run.facts.paused:
        return _judge_standing(run, simulation)  # with whatever it has evaluated before, in vain
    if run._sending is not None or run._effects.any:
        wrong.append("something is not committed")
    if run.facts.trouble is not None:
        wrong.append(f"it is in trouble: {run.facts.trouble}")
    room = run._keys.MAX_KEYS * 2 + 50
    if len(run._keys._keys) > room:
        wrong.append(f"{len(run._keys._keys)} keys are kept, {room} is plenty")
    if not worker._living:
        wrong.append("it works no more")
    return wrong


def _judge_companion(companion: Any, company: Company) -> list[str]:
    name = companion.program.name
    if name == "stuck" and companion.facts.paused:
        return []
    if not hasattr(companion, "_keys"):
        return [f"{name} has not begun"]
    wrong = []
    if companion in company._away:
        wrong.append(f"{name} is apart: {companion.facts.trouble}")
    if companion._effects.any or companion._made_outputs or companion._made_letters:
        wrong.append(f"something of {name} is not committed")
    if len(companion._keys._keys) > companion._keys.MAX_KEYS * 2 + 50:
        wrong.append(f"{len(companion._keys._keys)} keys of {name} are kept")
    return wrong


def _judge_standing(run: Any, simulation: "Simulation") -> list[str]:
    """All before the event at which it stands is finished."""
    suspect = run._failing.suspect
    sources, own = run.program.sources, f"{run.program.name}/"
    before = [
        record.position
        for record in simulation.records()
        if record.position < suspect
        and any(fnmatchcase(record.source, pattern) for pattern in sources)
        and not record.source.startswith(own)
    ]
    kept = {one.name: one.position for one in simulation.database.subscriptions.all()}
    return [
        f"it stands at event {suspect}, and slot {slot} at {kept[own + str(slot)]}"
        for slot in run._slots
        if before and kept[own + str(slot)] < before[-1]
    ]


def _judge_writer(writer: Any, simulation: "Simulation") -> list[str]:
    wrong = []
    if early := [order.early for order in writer._commits._sequencer._orders.values()]:
        wrong += [f"{len(some)} appends wait for an earlier one" for some in early if some]
    if writer._commits.backlog:
        wrong.append(f"{writer._commits.backlog} appends wait")
    if writer._unpublished:
        wrong.append(f"{len(writer._unpublished)} commits are not published")
    if writer._replaced:
        wrong.append("it is done, and nothing starts it anew")
    elif writer._commits.position != len(simulation.database.rows):
        wrong.append(f"it stands at {writer._commits.position} of {len(simulation.database.rows)}")
    return wrong


def _judge_bus(bus: Any, simulation: "Simulation") -> list[str]:
    if bus._buffer.head != len(simulation.database.rows):
        return [f"it stands at {bus._buffer.head} of {len(simulation.database.rows)}"]
    return []


def _judge_memory(recent: Any) -> list[str]:
    """What the table of recent commands keeps leads to nothing that it has forgotten."""
    kept = {id(one) for one in recent._kept} | {id(one) for one in recent.values()}
    known, to_see = {id(recent)}, [*recent.values()]
    while to_see:
        thing = to_see.pop()
        if id(thing) in known:
            continue
        known.add(id(thing))
        if isinstance(thing, Effects) and id(thing) not in kept:
            return ["its table of recent commands keeps older ones than it holds"]
        if isinstance(thing, Effects | list | tuple | dict):
            to_see += [one for one in gc.get_referents(thing) if not isinstance(one, type)]
    if len(recent.in_vain) > recent._capacity:
        return [f"it remembers {len(recent.in_vain)} commands without effect"]
    if recent.bytes > recent._max_bytes:
        return [f"its table of recent commands takes {recent.bytes} bytes"]
    return []


def _judge_directory(directory: Any, simulation: "Simulation") -> list[str]:
    starting = len(directory._dedicated._starting)
    return [f"{starting} hosts are being started"] if starting else []


def _judge_deliverer(deliverer: Any, simulation: "Simulation") -> list[str]:
    delivery = deliverer._delivery
    unsaid = len(delivery._to_return)
    said = [f"{unsaid} refused messages are not in the log"] if unsaid else []
    return said + _judge_posting(delivery)


def _judge_posting(posting: Any) -> list[str]:
    mailing = posting._mailing
    left = {
        "batches of messages are under way": posting._under_way,
        "receivers of messages are busy": mailing._busy,
        "messages are not sent": mailing._unsent,
    }
    return [f"{len(some)} {what}" for what, some in left.items() if some]


def _judge_timekeeper(timekeeper: Any, simulation: "Simulation") -> list[str]:
    timekeeping = timekeeper._timekeeping
    late = len(timekeeping._late)
    said = [f"{late} timers are to be looked at later, and are not filed"] if late else []
    return said + _judge_posting(timekeeping)


_JUDGES = {
    "writer": _judge_writer, "bus": _judge_bus, "directory": _judge_directory,
    "deliverer": _judge_deliverer, "timekeeper": _judge_timekeeper,
}  # fmt: skip

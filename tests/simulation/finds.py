"""Finding actors by their states in the simulation: what a driver has written, it asks for."""

from dataclasses import replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from actors.errors import ThornbackError
from actors.naming import aggregate_id_of
from runtime.processing.finding import find
from runtime.topology.names import worker_name
from tests.simulation import shipped
from tests.simulation.history import FindPage
from tests.simulation.plan import ACTIVE_S, Fault, Setup, Step
from thornback.simulation.draws import stream

if TYPE_CHECKING:
    from tests.simulation.drivers import Driver
    from tests.simulation.simulation import Simulation

INDEX = "index-of-ledger"
#: How long a question may take once nothing goes wrong any more.
FOUND_S = 60.0

#: What is asked for: of the fields that ledgers are indexed by.
WHERES: tuple[dict[str, Any], ...] = (
    {}, {"open": True}, {"open": False}, {"taken__ge": 1}, {"taken": 0},
)  # fmt: skip


def plan_finds(
    seed: int, setup: Setup, strands: list[list[list[Step]]], faults: list[Fault]
) -> None:
    """Add to a plan that drivers find actors, and what befalls who keeps the index: drawn apart
    from all else."""
    draw = stream(seed, "finds")
    if draw.random() < 0.65:
        return
    setup.settings.setdefault("processing", {}).setdefault(
        "batch_processing_size", draw.choice((1, 2, 5, 50))
    )
    more = stream(seed, "finds of more")
    if more.random() < 0.5:
        strands[0].append(_workers(more))
    if more.random() < 0.4:
        strands[more.randrange(setup.drivers)].append([_published_first(more)])
    finding: list[Step] = []
    for number in range(draw.choice((1, 2))):
        steps = _finding(draw, 600_000 + 1_000 * number)
        strands[draw.randrange(setup.drivers)].append(steps)
        finding += steps
    for _ in range(draw.choice((0, 1, 2, 4))):
        fault = _fault(draw, len(faults))
        if draw.random() < 0.5:
            at_s = round(draw.uniform(0.0, 0.3), 4)
            fault = replace(fault, at_s=at_s, with_step=draw.choice(finding).number)
        faults.append(fault)
    faults.sort(key=lambda fault: fault.at_s)


def _workers(draw: Random) -> list[Step]:
    """The index is run by several workers: its slots are not always equally far."""
    steps = []
    for number in range(draw.choice((1, 1, 2))):
        more = {"program": INDEX, "workers": draw.choice((2, 3, 5))}
        pause_s = round(draw.choice((0.0, draw.uniform(0.0, 2.0))), 4)
        steps.append(Step(680_000 + number, pause_s, "program", more=more))
    return steps


def _published_first(draw: Random) -> Step:
    """Somebody publishes under the id of a ledger's aggregate, perhaps before that says anything:
    its first event has the second version then."""
    source = str(aggregate_id_of(f"ledger/{draw.choice((1, 2, 3, 3, 3))}"))
    fields = {"token": 681_000, "nodes": 0, "bad": "aggregate"}
    return Step(681_000, round(draw.uniform(0.0, 0.05), 4), "publish", source, "", fields)


def _finding(draw: Random, first: int) -> list[Step]:
    steps = []
    pace_s = draw.choice((0.1, 0.4, 1.0))
    for number in range(first, first + 10 * draw.choice((4, 10, 15)), 10):
        more = {
            "where": draw.choice(WHERES), "limit": draw.choice((1, 2, 1000)),
            "known": draw.random() < 0.8, "timeout_s": draw.choice((0.3, 2.0, 10.0)),
        }  # fmt: skip
        writes = draw.choice(("Note", "Open", "Open", ""))
        source = f"ledger/{draw.randrange(4)}" if writes else ""
        fields = {"token": number} | ({"times": draw.choice((1, 2))} if writes == "Note" else {})
        pause_s = round(draw.expovariate(1 / pace_s), 4)
        steps.append(Step(number, pause_s, "find", source, writes, fields, more=more))
    return steps


def _fault(draw: Random, number: int) -> Fault:
    kinds = ("crash", "crash", "crash", "replace", "hang", "epoch late", "commit late",
             "commit unheard", "database slow")  # fmt: skip
    kind, target = draw.choice(kinds), worker_name(INDEX, draw.choice((0, 0, 0, 1)))
    amount = round(draw.uniform(0.01, 1.0), 3)
    if kind.startswith(("database", "commit")):
        target, amount = "database", 1.0
    seconds = round(draw.choice((draw.uniform(0.01, 0.3), draw.uniform(0.3, 4.0))), 3)
    return Fault(number, round(draw.uniform(0.5, ACTIVE_S), 4), kind, target, "", seconds, amount)


async def find_own(driver: "Driver", step: Step) -> None:
    """Write something, and ask for all that are so, at least as of then; page by page."""
    at_least: int | None = None
    if step.message:
        call = await driver.ask(step)
        if not call.events:
            return
        at_least = call.events[-1].position
    await _find(driver, step, at_least)


async def _find(driver: "Driver", step: Step, at_least: int | None) -> FindPage:
    after = ""
    while True:
        page = await _page(driver, step, at_least, after)
        if page.names is None or page.next is None:
            return page
        after = page.next


async def _page(driver: "Driver", step: Step, at_least: int | None, after: str) -> FindPage:
    history, more = driver.history, step.more
    least = driver.log_head() if at_least is None else at_least
    page = FindPage(step.number, driver.label, more["where"], least, after, more["limit"])
    history.finds.append(page)
    ask = partial(find, driver.connection, shipped.Found if more["known"] else "ledger")
    try:
        found = await ask(
            more["where"], at_least=at_least, after=after, limit=more["limit"],
            timeout_s=more["timeout_s"],
        )  # fmt: skip
    except ThornbackError as error:
        page.error = type(error).__name__
        if page.error not in _PASSING and (more["known"] or page.error != "InvalidQuery"):
            history.complain(f"question {step.number} ended with {error!r}")
    else:
        page.names = [ref.source for ref in found]
        page.position, page.next, page.head = found.position, found.next, driver.log_head()
    return page


def finish_finds(simulation: "Simulation", driver: "Driver") -> None:
    """Nothing goes wrong any more: whoever asks is answered."""
    if not simulation.history.finds:
        return
    for number, where in enumerate(WHERES, 690_000):
        more = {"where": where, "limit": 2, "known": True, "timeout_s": FOUND_S}
        step = Step(number, 0.0, "find", more=more)
        finding = driver.start(_complaining(driver, step))
        simulation.wait([finding], FOUND_S, "who asks for actors is not answered after quiet")


async def _complaining(driver: "Driver", step: Step) -> None:
    page = await _find(driver, step, None)
    if page.names is None:
        driver.history.complain(f"after quiet nobody is found: {page.error}")


#: What a question may end with: what it asks is away, or behind.
_PASSING = {
    "IndexBehind", "StoreUnavailable", "HostUnavailable", "AskTimeout", "SystemNotFound",
    "SystemReplaced", "SystemDraining", "ConnectionClosed", "StartFailed",
}  # fmt: skip

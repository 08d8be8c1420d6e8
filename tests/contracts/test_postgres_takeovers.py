"""Two systems and one database: who has it in the end, and what the other one is told.

The claims are those of two directories, quick enough for a test. What is said of them stands in a
table in docs/decisions/0037-a-watch-goes-by-one-clock.md.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from runtime.cluster.claim import DatabaseClaim, in_use
from runtime.errors import DatabaseInUse
from runtime.process import claim_table as module
from runtime.process.claim_table import PostgresClaimTable
from runtime.process.traces import Traces
from runtime.settings.settings import Settings
from store.errors import StaleEpoch, SystemReplaced
from store.postgres.event_store import PostgresEventStore
from tests.contracts.appending import Log, made_event
from tests.contracts.vanishing import VanishingWay

pytestmark = pytest.mark.integration

#: Seconds for what is due with the next sign of life.
LIMIT_S = 30.0


class QuickTable(PostgresClaimTable):
    """A sign of life has half a second."""

    BEAT_LIMIT_S = 0.5


class QuickClaim(DatabaseClaim):
    """One second of silence is enough, in which there should be five beats."""

    BEAT_S = 0.2
    LAPSE_S = 1.0
    LOOK_S = 0.05

    def __init__(self, holder: str, settings: Callable[[], Settings]) -> None:
        self._changed = asyncio.Event()
        super().__init__(holder, QuickTable(settings))

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        self._changed.set()

    async def until_doubtful(self) -> None:
        """Wait until this one waits for another."""
        while self.doubt is None:
            await self._change()

    async def until_in_trouble(self, *, ends: bool = False) -> None:
        """Wait until this one cannot say that it lives; or can again."""
        while (self.trouble is None) != ends:
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()


class Side:
    """One of two systems, as far as it has to do with its database."""

    def __init__(self, name: str, url: str) -> None:
        settings = Settings.model_validate({"event_store": {"connection_string": url}})
        self.name, self.url = name, url
        self.claim = QuickClaim(name, lambda: settings)
        self.replaced: SystemReplaced | None = None
        self.has_system = True  #: does Ray lead to this incarnation of its directory?
        self._keeping: asyncio.Task[None] | None = None

    async def launch(self, *, take_over: bool = False, again: bool = False) -> None:
        """Claim the database, and say from now on that this system lives."""
        await self.claim.take(take_over=lambda: take_over, again=again)
        self.resume()

    def resume(self) -> None:
        """Go on where `pause` has stopped it."""

        async def replaced(error: SystemReplaced) -> None:
            self.replaced = error

        async def has_system() -> bool:
            return self.has_system

        self._keeping = asyncio.ensure_future(self.claim.keep(replaced, has_system))

    def pause(self) -> None:
        """As a process is that is stopped, or killed: it says nothing, and gives nothing up."""
        assert self._keeping is not None
        self._keeping.cancel()

    async def until_replaced(self) -> SystemReplaced:
        """Wait until this system knows that it has lost its database."""
        assert self._keeping is not None
        await self._keeping
        assert self.replaced is not None
        return self.replaced

    @asynccontextmanager
    async def store(self) -> AsyncIterator[PostgresEventStore]:
        """The event store of its writer and hosts."""
        store = await PostgresEventStore.connect(self.url, pool_size=2, system=self.name)
        yield store
        await store.close()

    def close(self) -> None:
        """End it."""
        if self._keeping is not None:
            self._keeping.cancel()
        self.claim.close()


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The namespaces of systems that have certainly ended, as far as traces tell."""
    ended: set[str] = set()
    traces = Traces(session="s", head="h:1", machine="", raylet=1, raylet_began_s=0.0)
    monkeypatch.setattr(module, "own_traces", lambda: traces)
    monkeypatch.setattr(module, "have_ended", lambda _, __, namespace: namespace in ended)
    return ended


@pytest.fixture
async def side(ended: set[str], database: str) -> AsyncIterator[Callable[..., Side]]:
    """Makes systems on the test's database."""
    sides: list[Side] = []

    def make(name: str, url: str = database) -> Side:
        sides.append(Side(name, url))
        return sides[-1]

    yield make
    for each in sides:
        each.close()


async def holder(database: str) -> str:
    """Whose database it is."""
    return str(await of_claim(database, "holder"))


async def given_up(database: str) -> bool:
    """Is it free for whoever comes?"""
    return await of_claim(database, "given_up_at") is not None


async def of_claim(database: str, column: str) -> object:
    """What stands in its row."""
    connection = await asyncpg.connect(database)
    try:
        return await connection.fetchval(f"SELECT {column} FROM claim")
    finally:
        await connection.close()


async def test_of_two_first_launches_one_has_the_database_and_the_other_is_refused(
    side: Callable[..., Side],
) -> None:
    one, other = side("one"), side("other")
    outcomes = await asyncio.gather(one.launch(), other.launch(), return_exceptions=True)
    assert [type(each) for each in outcomes if each is not None] == [DatabaseInUse]
    assert one.claim.held != other.claim.held


async def test_an_idle_system_that_beats_keeps_its_database(
    side: Callable[..., Side], database: str
) -> None:
    idle = side("idle")
    await idle.launch()
    for name in ("a", "b", "c"):
        with pytest.raises(DatabaseInUse, match="--take-over"):
            await side(name).launch()
    assert await holder(database) == "idle"


async def test_a_system_whose_directory_is_away_keeps_its_database_while_it_commits(
    side: Callable[..., Side], database: str
) -> None:
    busy, other = side("busy"), side("other")
    await busy.launch()
    async with busy.store() as store:
        log = await Log.open(store)
        busy.pause()
        launching = asyncio.ensure_future(other.launch())
        await other.claim.until_doubtful()
        await log.append(made_event())
        with pytest.raises(DatabaseInUse):
            await launching
    assert await holder(database) == "busy"


async def test_of_two_launches_that_wait_for_a_crashed_system_one_has_its_database(
    side: Callable[..., Side], database: str
) -> None:
    crashed, one, other = side("crashed"), side("one"), side("other")
    await crashed.launch()
    crashed.pause()
    outcomes = await asyncio.gather(one.launch(), other.launch(), return_exceptions=True)
    assert [type(each) for each in outcomes if each is not None] == [DatabaseInUse]
    assert await holder(database) == ("one" if one.claim.held else "other")


async def test_a_crashed_system_whose_directory_comes_back_in_time_keeps_its_database(
    side: Callable[..., Side], database: str
) -> None:
    crashed, other = side("crashed"), side("other")
    await crashed.launch()
    crashed.pause()
    launching = asyncio.ensure_future(other.launch())
    await other.claim.until_doubtful()
    await crashed.launch(again=True)
    with pytest.raises(DatabaseInUse):
        await launching
    assert await holder(database) == "crashed"


async def test_a_crashed_system_whose_directory_comes_back_too_late_takes_nothing_back(
    side: Callable[..., Side], database: str
) -> None:
    crashed, other = side("crashed"), side("other")
    await crashed.launch()
    crashed.pause()
    await other.launch()
    with pytest.raises(SystemReplaced, match="it went to"):
        await crashed.launch(again=True)
    assert await holder(database) == "other"


async def test_a_drain_that_ends_while_a_launch_waits_lets_it_in(
    side: Callable[..., Side], database: str
) -> None:
    draining, other = side("draining"), side("other")
    await draining.launch()
    draining.pause()  # a directory that drains for long, in a loop that is busy
    launching = asyncio.ensure_future(other.launch())
    await other.claim.until_doubtful()
    assert await draining.claim.give_up() is None
    await launching
    assert await holder(database) == "other"


async def test_a_drain_of_a_system_that_was_taken_over_gives_up_nothing_of_the_other_s(
    side: Callable[..., Side], database: str
) -> None:
    draining, other = side("draining"), side("other")
    await draining.launch()
    draining.pause()
    await other.launch(take_over=True)
    assert await draining.claim.give_up() is None
    with pytest.raises(DatabaseInUse):
        await side("third").launch()
    assert await holder(database) == "other"


async def test_a_claim_that_was_given_up_late_is_claimed_again_by_the_directory_that_has_the_system(
    side: Callable[..., Side], database: str
) -> None:
    successor, older = side("one"), side("one")
    await older.launch()
    older.has_system = False
    await successor.launch(again=True)
    assert await older.claim.give_up() is None
    async with asyncio.timeout(LIMIT_S):
        while await given_up(database):
            pass  # nobody tells; each question takes its time
    with pytest.raises(DatabaseInUse):
        await side("other").launch()
    assert (successor.claim.held, successor.claim.trouble) == (True, None)


async def test_a_paused_system_that_was_taken_over_is_fenced_off_when_it_goes_on_and_says_so(
    side: Callable[..., Side], database: str
) -> None:
    paused, other = side("paused"), side("other")
    await paused.launch()
    async with paused.store() as old, other.store() as new:
        old_log = await Log.open(old)
        await old_log.append(made_event("device/a", 1))
        paused.pause()
        await other.launch()
        new_log = await Log.open(new)
        paused.resume()
        with pytest.raises(StaleEpoch):
            await old_log.append(made_event("device/a", 2))
        with pytest.raises(SystemReplaced, match="in namespace"):
            await Log.open(old)
        assert "it went to system" in str(await paused.until_replaced())
        assert (paused.claim.held, paused.claim.others) == (False, True)
        [event] = await new_log.append(made_event("device/a", 2))
        assert event.position == 2
    assert await holder(database) == "other"


async def test_a_paused_system_that_nobody_has_taken_over_goes_on(
    side: Callable[..., Side], database: str
) -> None:
    paused = side("paused")
    await paused.launch()
    async with paused.store() as store:
        log = await Log.open(store)
        paused.pause()
        paused.resume()
        [event] = await log.append(made_event())
        assert event.position == 1
    with pytest.raises(DatabaseInUse):
        await side("other").launch()
    assert await holder(database) == "paused"


async def test_of_two_that_take_over_the_last_has_it_and_the_first_says_so(
    side: Callable[..., Side], database: str
) -> None:
    old, first, last = side("old"), side("first"), side("last")
    for each in (old, first, last):
        await each.launch(take_over=True)
    await old.until_replaced()
    assert "'node-001'" in str(await first.until_replaced())
    assert (first.claim.held, last.claim.held) == (False, True)
    assert await holder(database) == "last"


async def test_of_two_that_take_over_at_once_one_has_it_and_the_other_says_so(
    side: Callable[..., Side], database: str
) -> None:
    old, *both = side("old"), side("one"), side("other")
    await old.launch()
    await asyncio.gather(*(each.launch(take_over=True) for each in both))
    winner = await holder(database)
    [loser] = [each for each in both if each.name != winner]
    await loser.until_replaced()
    assert not loser.claim.held


@pytest.fixture
async def way(database: str) -> AsyncIterator[VanishingWay]:
    """A way to the database that can be cut."""
    opened = VanishingWay(database)
    yield opened
    await opened.close()


async def test_a_system_that_is_cut_off_and_replaced_says_so_when_it_comes_back(
    side: Callable[..., Side], way: VanishingWay, database: str
) -> None:
    cut_off, other = side("cut off", await way.open()), side("other")
    await cut_off.launch()
    way.swallows_answers = way.swallows_questions = True
    await cut_off.claim.until_in_trouble()
    await other.launch()
    assert "another launch may take the database" in str(cut_off.claim.trouble)
    way.swallows_answers = way.swallows_questions = False
    assert "it went to system" in str(await cut_off.until_replaced())
    assert await holder(database) == "other"


async def test_a_system_that_is_cut_off_and_not_replaced_goes_on_when_it_comes_back(
    side: Callable[..., Side], way: VanishingWay, database: str
) -> None:
    cut_off = side("cut off", await way.open())
    await cut_off.launch()
    way.swallows_answers = way.swallows_questions = True
    await cut_off.claim.until_in_trouble()
    way.swallows_answers = way.swallows_questions = False
    await cut_off.claim.until_in_trouble(ends=True)
    assert cut_off.claim.held
    with pytest.raises(DatabaseInUse):
        await side("other").launch()
    assert await holder(database) == "cut off"


async def test_a_database_is_in_use_from_its_claim_until_that_is_given_up(
    side: Callable[..., Side], ended: set[str], database: str
) -> None:
    settings = Settings.model_validate({"event_store": {"connection_string": database}})

    async def user() -> str | None:
        return await in_use(PostgresClaimTable(lambda: settings))

    assert await user() is None  # it has no schema yet
    living = side("one", database)
    await living.launch()
    assert "launched" in (await user() or "")
    await living.claim.give_up()
    assert await user() is None

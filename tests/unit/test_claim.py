"""When a claim on a database is taken, waited for, refused and lost: in virtual time."""

import asyncio
import getpass
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from runtime.cluster.claim import DatabaseClaim, in_use
from runtime.errors import DatabaseInUse
from runtime.process import claim_table, traces
from runtime.process.claim_table import PostgresClaimTable
from runtime.settings.settings import Settings
from runtime.topology.status import Progress
from store.errors import DatabaseClaimed, StoreUnavailable, SystemReplaced
from store.postgres.claims import Claim, Claimant, MayTake
from store.postgres.migrations import Step, Telling
from tests.virtual_time import now_s, virtual_time

SETTINGS = Settings.model_validate(
    {"event_store": {"connection_string": "postgresql://u:p@db:5432/prod"}}
)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def never() -> bool:
    """Nobody said --take-over."""
    return False


class PlayedDatabase:
    """A database that somebody else has claimed. Its own clock stands still: nothing is to be
    judged by it."""

    where = "db:5432/prod"

    def __init__(self) -> None:
        self.head = 0
        self.clock_s = 0.0  #: what it says of a beat, as seconds after BEGIN
        self.given_up = self.ended = False
        self.holder = "theirs"
        self.away = False
        self.closed = 0  #: how often the connection was given back
        self.migrates_s: float | None = None  #: there is a migration, which takes so long
        self.beats: list[float] = []  #: when the claim was renewed
        self.beats_every_s: float | None = None

    async def log(self) -> str:
        return str(BEGIN)

    async def renew(self, holder: str) -> bool:
        self._check_there()
        self.beats.append(now_s())
        return holder == self.holder and not self.given_up

    async def find(self) -> Claim | None:
        self._check_there()
        return self.found()

    async def give_up(self, holder: str) -> None:
        self._check_there()
        self.given_up |= holder == self.holder

    def has_ended(self, found: Claim) -> bool:
        return self.ended

    def close(self) -> None:
        self.closed += 1

    def found(self) -> Claim:
        beat_s = now_s() // self.beats_every_s if self.beats_every_s else 0.0
        return Claim(
            holder=self.holder, system="s", namespace="n", place="p", traces="{}",
            claimed_at=BEGIN, beat=BEGIN + timedelta(seconds=self.clock_s + beat_s), head=self.head,
            silent_s=1e6, given_up=self.given_up,
        )  # fmt: skip

    async def take(self, holder: str, may_take: MayTake, tell: Telling) -> None:
        found = self.found()
        if found.holder != holder and not may_take(found):
            raise DatabaseClaimed(str(found))
        if self.migrates_s is not None:
            tell(Step(5, 8))
            await asyncio.sleep(self.migrates_s)
        self.holder, self.given_up = holder, False
        self.clock_s += 1  # whoever claims gives a sign

    def _check_there(self) -> None:
        if self.away:
            raise StoreUnavailable(self.where, "nothing comes back")


@pytest.fixture
def database() -> PlayedDatabase:
    return PlayedDatabase()


def ours(database: PlayedDatabase) -> DatabaseClaim:
    return DatabaseClaim("ours", database)


async def kept(
    database: PlayedDatabase,
) -> tuple[DatabaseClaim, asyncio.Future[None], list[str]]:
    """Our claim on that database, which is kept from now on, and by whom it was replaced."""
    database.holder, claim, heard = "ours", ours(database), []

    async def replaced(error: SystemReplaced) -> None:
        heard.append(str(error))

    await claim.take(take_over=never, again=False)
    return claim, asyncio.ensure_future(claim.keep(replaced, ours_alone)), heard


async def ours_alone() -> bool:
    """Ray has made no other incarnation of the directory."""
    return True


async def unheard(error: SystemReplaced) -> None:
    """Where nobody is to be replaced."""
    raise error


@virtual_time
async def test_a_database_is_in_use_by_whoever_gives_signs_of_life_and_by_nobody_else(
    database: PlayedDatabase,
) -> None:
    database.beats_every_s = DatabaseClaim.BEAT_S
    assert "system 's' in namespace 'n'" in (await in_use(database) or "")
    assert now_s() <= DatabaseClaim.BEAT_S + DatabaseClaim.LOOK_S
    database.ended = True
    assert await in_use(database) is None
    database.ended, database.beats_every_s = False, None
    began_s = now_s()
    assert await in_use(database) is None
    assert now_s() - began_s >= DatabaseClaim.LAPSE_S
    assert database.closed == 3


@virtual_time
async def test_a_live_system_is_refused_with_its_name_and_the_words_to_take_it_over(
    database: PlayedDatabase,
) -> None:
    database.beats_every_s = DatabaseClaim.BEAT_S
    claim = ours(database)
    with pytest.raises(DatabaseInUse) as refused:
        await claim.take(take_over=never, again=False)
    assert now_s() <= DatabaseClaim.BEAT_S + DatabaseClaim.LOOK_S
    for words in ("db:5432/prod", "system 's' in namespace 'n'", "by p", "--take-over"):
        assert words in str(refused.value)
    assert (claim.held, claim.others, database.holder) == (False, True, "theirs")
    await claim.take(take_over=lambda: True, again=False)
    assert (claim.held, claim.others, database.holder) == (True, False, "ours")


@virtual_time
async def test_a_silent_system_is_waited_for_until_it_counts_as_dead(
    database: PlayedDatabase,
) -> None:
    claim = ours(database)
    taking = asyncio.ensure_future(claim.take(take_over=never, again=False))
    await asyncio.sleep(DatabaseClaim.LAPSE_S - 1)
    assert "system 's'" in str(claim.doubt)
    await taking
    assert DatabaseClaim.LAPSE_S <= now_s() <= DatabaseClaim.LAPSE_S + 1
    assert (claim.held, claim.doubt) == (True, None)


@pytest.mark.parametrize("clock_s", [-1e8, 0.0, 1e8], ids=["behind", "right", "ahead"])
@virtual_time
async def test_what_time_it_is_for_whoever_wrote_the_signs_makes_nobody_dead_or_alive(
    database: PlayedDatabase, clock_s: float
) -> None:
    database.clock_s = clock_s
    await ours(database).take(take_over=never, again=False)
    assert DatabaseClaim.LAPSE_S <= now_s() <= DatabaseClaim.LAPSE_S + 1


@virtual_time
async def test_a_commit_is_a_sign_of_life_too(database: PlayedDatabase) -> None:
    taking = asyncio.ensure_future(ours(database).take(take_over=never, again=False))
    await asyncio.sleep(DatabaseClaim.LAPSE_S - 1)
    database.head += 1
    with pytest.raises(DatabaseInUse):
        await taking
    assert database.holder == "theirs"


@virtual_time
async def test_a_system_that_is_slow_in_beating_is_alive(database: PlayedDatabase) -> None:
    database.beats_every_s = DatabaseClaim.LAPSE_S - 1
    with pytest.raises(DatabaseInUse):
        await ours(database).take(take_over=never, again=False)


@virtual_time
async def test_a_system_that_gives_up_or_ends_while_it_is_waited_for_is_waited_for_no_longer(
    database: PlayedDatabase,
) -> None:
    claim = ours(database)
    taking = asyncio.ensure_future(claim.take(take_over=never, again=False))
    await asyncio.sleep(DatabaseClaim.LAPSE_S / 2 + DatabaseClaim.LOOK_S / 2)
    assert "15 of 30 s of silence so far, system 's'" in str(claim.doubt)
    database.given_up = True
    await taking
    assert now_s() <= DatabaseClaim.LAPSE_S / 2 + 2 * DatabaseClaim.LOOK_S
    assert (claim.held, claim.doubt) == (True, None)


@virtual_time
async def test_of_two_launches_that_wait_for_a_dead_system_one_has_its_database(
    database: PlayedDatabase,
) -> None:
    one, other = (DatabaseClaim(name, database) for name in ("one", "other"))
    taking = (each.take(take_over=never, again=False) for each in (one, other))
    outcomes = await asyncio.gather(*taking, return_exceptions=True)
    assert [type(each) for each in outcomes if each is not None] == [DatabaseInUse]
    assert one.held != other.held


def drained(database: PlayedDatabase) -> None:
    database.given_up = True


def ended(database: PlayedDatabase) -> None:
    database.ended = True


def our_own(database: PlayedDatabase) -> None:
    database.holder = "ours"


@pytest.mark.parametrize("become", [drained, ended, our_own])
@virtual_time
async def test_what_is_certainly_free_is_taken_at_once(
    database: PlayedDatabase, become: Callable[[PlayedDatabase], None]
) -> None:
    become(database)
    claim = ours(database)
    await claim.take(take_over=never, again=False)
    assert (now_s(), claim.held) == (0.0, True)


@pytest.mark.parametrize("given_up", [False, True])
@virtual_time
async def test_whoever_comes_back_and_finds_another_system_was_replaced(
    database: PlayedDatabase, given_up: bool
) -> None:
    database.given_up = given_up
    with pytest.raises(SystemReplaced, match=r"database at db:5432/prod: it went to .*'s'"):
        await ours(database).take(take_over=never, again=True)


@virtual_time
async def test_a_system_says_that_it_lives_and_hears_who_has_replaced_it(
    database: PlayedDatabase,
) -> None:
    claim, keeping, heard = await kept(database)
    await asyncio.sleep(10 * DatabaseClaim.BEAT_S + 0.1)
    assert len(database.beats) == 10
    assert not heard
    database.holder = "theirs"
    await keeping
    assert (len(heard), claim.held, claim.others) == (1, False, True)
    assert "it went to system 's'" in heard[0]


@virtual_time
async def test_a_system_that_was_cut_off_for_long_and_not_replaced_says_so_and_goes_on(
    database: PlayedDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    database.holder = "ours"
    claim = ours(database)
    await claim.take(take_over=never, again=False)
    keeping = asyncio.ensure_future(claim.keep(unheard, ours_alone))
    database.away = True
    await asyncio.sleep(10 * DatabaseClaim.LAPSE_S)
    assert not database.beats
    for words in ("db:5432/prod", "nothing comes back", "another launch may take the database"):
        assert words in str(claim.trouble)
    database.away = False
    await asyncio.sleep(2 * DatabaseClaim.BEAT_S)
    assert (claim.held, claim.trouble, keeping.done()) == (True, None, False)
    assert database.beats
    assert ["cannot say" in caplog.messages[0], "says so again" in caplog.messages[1]] == [True] * 2
    assert len(caplog.messages) == 2
    await claim.give_up()
    await keeping


@virtual_time
async def test_a_system_that_was_cut_off_and_replaced_hears_by_whom_when_it_comes_back(
    database: PlayedDatabase,
) -> None:
    claim, keeping, heard = await kept(database)
    database.away = True
    await asyncio.sleep(DatabaseClaim.LAPSE_S + DatabaseClaim.BEAT_S)
    database.holder = "theirs"
    assert not heard
    database.away = False
    await keeping
    assert "it went to system 's' in namespace 'n'" in heard[0]
    assert not claim.held
    assert await claim.give_up() is None  # which is not for it to do
    assert (database.holder, database.given_up) == ("theirs", False)


@virtual_time
async def test_a_claim_that_was_given_up_late_is_claimed_again(database: PlayedDatabase) -> None:
    """The drain of the system before had sent that, or an older directory of this one. Another
    system would take the database without waiting."""
    claim, keeping, heard = await kept(database)
    database.given_up = True
    await asyncio.sleep(DatabaseClaim.BEAT_S + 0.1)
    assert (claim.held, database.holder, database.given_up) == (True, "ours", False)
    assert (claim.trouble, heard) == (None, [])
    await claim.give_up()
    await keeping


@virtual_time
async def test_a_claim_that_a_later_directory_gave_up_is_left_alone(
    database: PlayedDatabase,
) -> None:
    async def has_system() -> bool:
        return False

    database.holder, claim = "ours", ours(database)
    await claim.take(take_over=never, again=False)
    keeping = asyncio.ensure_future(claim.keep(unheard, has_system))
    database.given_up = True
    await keeping
    assert (claim.held, database.given_up, database.beats) == (False, True, [DatabaseClaim.BEAT_S])


@virtual_time
async def test_a_claim_that_was_given_up_late_and_taken_by_another_is_lost(
    database: PlayedDatabase,
) -> None:
    async def has_system() -> bool:
        database.holder, database.given_up = "theirs", False  # in that moment
        return True

    database.holder, claim = "ours", ours(database)
    heard: list[str] = []

    async def replaced(error: SystemReplaced) -> None:
        heard.append(str(error))

    await claim.take(take_over=never, again=False)
    keeping = asyncio.ensure_future(claim.keep(replaced, has_system))
    database.given_up = True
    await keeping
    assert (claim.held, database.holder) == (False, "theirs")
    assert "it went to system 's'" in heard[0]


@virtual_time
async def test_what_fails_behind_the_claim_leaves_it_to_be_given_up(
    database: PlayedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.given_up = True

    async def broken() -> str:
        raise StoreUnavailable(database.where, "it went away behind the claim")

    monkeypatch.setattr(database, "log", broken)
    claim = ours(database)
    with pytest.raises(StoreUnavailable):
        await claim.take(take_over=never, again=False)
    assert claim.held


@virtual_time
async def test_a_migration_says_how_far_it_is_and_how_long_it_has_taken(
    database: PlayedDatabase,
) -> None:
    database.given_up, database.migrates_s = True, 3_600.0
    claim = ours(database)
    taking = asyncio.ensure_future(claim.take(take_over=never, again=False))
    await asyncio.sleep(1_800.0)
    assert claim.progress == Progress(
        doing="bringing the schema up to date: migration 5 of 8", counts=False
    )
    assert claim.migrated_s() == 1_800.0
    await taking
    after: Progress | None = claim.progress
    assert after is None
    assert claim.migrated_s() == 3_600.0


@virtual_time
async def test_a_claim_is_given_up_between_two_signs_of_life_and_none_comes_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the connection would be closed under the sign that is on its way."""
    database, renewing, asked = PlayedDatabase(), asyncio.Event(), []
    database.holder = "ours"
    renew, give_up = database.renew, database.give_up

    async def slow(holder: str) -> bool:
        asked.append("renew")
        await renewing.wait()
        return await renew(holder)

    async def noted(holder: str) -> None:
        asked.append("give up")
        await give_up(holder)

    monkeypatch.setattr(database, "renew", slow)
    monkeypatch.setattr(database, "give_up", noted)
    claim = ours(database)
    await claim.take(take_over=never, again=False)
    keeping = asyncio.ensure_future(claim.keep(unheard, ours_alone))
    await asyncio.sleep(DatabaseClaim.BEAT_S + 0.1)
    giving = asyncio.ensure_future(claim.give_up())
    await asyncio.sleep(0.1)
    assert asked == ["renew"]
    renewing.set()
    assert await giving is None
    await keeping
    assert asked == ["renew", "give up"]


async def test_a_user_without_a_name_may_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    claimants: list[Claimant] = []
    here = traces.Traces(session="here", head="h:1", machine="m", raylet=1, raylet_began_s=0.0)

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    async def migrate(*_: object, claimant: Claimant, **__: object) -> int:
        claimants.append(claimant)
        return 6

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.setattr(claim_table, "own_traces", lambda: here)
    monkeypatch.setattr(claim_table, "migrate", migrate)
    table = PostgresClaimTable(lambda: SETTINGS)
    await table.take("ours", lambda _: True, lambda _: None)
    assert claimants[0].holder == "ours"
    assert claimants[0].place.startswith("uid ")


@virtual_time
async def test_who_says_take_over_is_heard_while_another_launch_looks_whether_the_other_lives(
    database: PlayedDatabase,
) -> None:
    claim, said = ours(database), asyncio.Event()
    taking = asyncio.ensure_future(claim.take(take_over=said.is_set, again=False))
    await asyncio.sleep(3 * DatabaseClaim.LOOK_S)
    assert not taking.done()
    said.set()
    await taking
    assert now_s() < DatabaseClaim.LAPSE_S
    assert claim.held

"""When a claim on a database is taken, waited for, refused and lost: in virtual time."""

import asyncio
import getpass
from collections.abc import Callable

import pytest

from runtime.cluster.claim import DatabaseClaim, in_use
from runtime.errors import DatabaseInUse
from runtime.process import claim_table, traces
from runtime.process.claim_table import PostgresClaimTable
from runtime.settings.settings import Settings
from runtime.topology.status import Progress
from store.errors import StoreUnavailable
from store.postgres.claims import Claimant
from tests.unit.claiming import PlayedDatabase, never, ours
from tests.virtual_time import now_s, virtual_time

SETTINGS = Settings.model_validate(
    {"event_store": {"connection_string": "postgresql://u:p@db:5432/prod"}}
)


@pytest.fixture
def database() -> PlayedDatabase:
    return PlayedDatabase()


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

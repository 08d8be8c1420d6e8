"""A claim that is kept: signs of life, lost, given up, and claimed again: in virtual time."""

import asyncio

import pytest

from runtime.cluster.claim import DatabaseClaim
from runtime.settings.settings import Settings
from store.errors import SystemReplaced
from tests.unit.claiming import PlayedDatabase, kept, never, ours, ours_alone, unheard
from tests.virtual_time import virtual_time

SETTINGS = Settings.model_validate(
    {"event_store": {"connection_string": "postgresql://u:p@db:5432/prod"}}
)


@pytest.fixture
def database() -> PlayedDatabase:
    return PlayedDatabase()


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

"""What every table of tokens promises."""

from dataclasses import replace

import pytest

from store.tokens import LiveToken, NewToken, TokenNameTaken, TokenTable

ONE = NewToken(id="one", name="printer", hash=b"1" * 32, scopes=("read", "command:oven"))
TWO = NewToken(id="two", name="two", hash=b"2" * 32, scopes=("admin",), prefix="oven/a-")


class TokenTableContract:
    """Needs a fixture `table`: an empty one."""

    async def test_a_token_is_found_as_it_was_made(self, table: TokenTable) -> None:
        made = await table.add(replace(TWO, lasts_s=3600.0))
        assert made.expires_at is not None
        assert (made.expires_at - made.created_at).total_seconds() == 3600
        assert (made.live, made.used_at, made.revoked_at) == (True, None, None)
        assert await table.all() == [made]
        assert await table.live(["two", "none"]) == {
            "two": LiveToken(id="two", hash=TWO.hash, scopes=("admin",), prefix="oven/a-")
        }

    async def test_all_there_ever_were_are_told(self, table: TokenTable) -> None:
        assert (await table.any(), await table.any_live(), await table.all()) == (False, False, [])
        await table.add(ONE)
        await table.add(TWO)
        assert (await table.any(), await table.any_live()) == (True, True)
        for each in ("one", "two"):
            await table.revoke(each)
        assert (await table.any(), await table.any_live()) == (True, False)
        assert [(one.id, one.live) for one in await table.all()] == [("one", False), ("two", False)]

    async def test_one_that_is_revoked_or_has_expired_is_not_live(self, table: TokenTable) -> None:
        await table.add(ONE)
        await table.add(replace(TWO, lasts_s=-1.0))
        assert set(await table.live(["one", "two"])) == {"one"}
        revoked = await table.revoke("one")
        assert revoked is not None
        assert (revoked.live, revoked.revoked_at is not None) == (False, True)
        assert await table.live(["one", "two"]) == {}
        again = await table.revoke("one")
        assert again == revoked

    async def test_one_is_revoked_by_its_id_or_by_its_name(self, table: TokenTable) -> None:
        await table.add(ONE)
        found = await table.revoke("printer")
        assert found is not None
        assert found.id == "one"
        assert await table.revoke("printer") is None
        assert await table.revoke("nobody") is None

    async def test_a_name_is_free_again_when_its_token_is_revoked(self, table: TokenTable) -> None:
        await table.add(ONE)
        with pytest.raises(TokenNameTaken, match="printer"):
            await table.add(replace(TWO, name="printer"))
        await table.revoke("one")
        await table.add(replace(TWO, name="printer"))
        assert set(await table.live(["one", "two"])) == {"two"}

    async def test_those_in_use_are_noted(self, table: TokenTable) -> None:
        await table.add(ONE)
        await table.add(TWO)
        await table.note_used(["two", "none"])
        one, two = await table.all()
        assert (one.used_at, two.used_at is not None) == (None, True)
        await table.note_used(["two"])
        assert (await table.all())[1].used_at is not None

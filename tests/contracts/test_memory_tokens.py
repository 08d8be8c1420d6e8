"""The contract of tokens, on the table that tests have in memory."""

import pytest

from tests.contracts.tokens_contract import TokenTableContract
from tests.tokens_in_memory import MemoryTokens


class TestMemoryTokens(TokenTableContract):
    @pytest.fixture
    def table(self) -> MemoryTokens:
        return MemoryTokens()

"""The numbered files of the schema."""

from collections import Counter
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "store" / "postgres" / "sql"


def test_no_two_migrations_have_one_number_and_none_is_missing() -> None:
    numbers = Counter(int(file.name[:4]) for file in FOLDER.glob("[0-9]*.sql"))
    assert numbers == Counter(range(1, len(numbers) + 1))

"""Settings as they may be shown to anybody who looks: without a password."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import SecretStr

from runtime.settings.settings import Settings, redacted_url


class Shown(NamedTuple):
    """One setting. Its value is plain: what JSON has, or a tuple or mapping of that."""

    section: str
    key: str
    value: Any
    origin: str


def shown(settings: Settings) -> Iterator[Shown]:
    """Each setting, with where its value came from."""
    for section in type(settings).model_fields:
        for key, value in getattr(settings, section):
            plain = value
            if isinstance(value, SecretStr):
                plain = redacted_url(value.get_secret_value())
            elif section == "event_store" and key == "partition_urls":
                plain = tuple(redacted_url(each.get_secret_value()) for each in value)
            elif isinstance(value, Path):
                plain = str(value)
            yield Shown(section, key, plain, settings.origin(section, key))

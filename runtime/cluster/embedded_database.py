"""The embedded PostgreSQL of a system, kept running beside the directory."""

import json

from runtime.settings.settings import Settings


def with_database(settings: Settings, url: str) -> Settings:
    """The settings with the address of the database that was started for them."""
    plain = json.loads(settings.model_dump_json())
    plain["event_store"]["connection_string"] = url
    return Settings.model_validate_json(json.dumps(plain))

"""Where events rest: Postgres or memory, and the one wire format."""

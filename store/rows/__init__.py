"""The one wire format: an event as a row of PostgreSQL's binary COPY."""

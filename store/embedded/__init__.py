"""A PostgreSQL of the project's own."""

"""How processes call one another."""

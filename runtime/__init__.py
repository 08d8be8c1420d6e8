"""The machine: the only room that knows Ray."""

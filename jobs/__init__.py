"""Thin mains: what `ray job submit` runs, and the command `thornback`."""

"""Thin mains: what `ray job submit` runs."""

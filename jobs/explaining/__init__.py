"""Explanations, to be looked at."""

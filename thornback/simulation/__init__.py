"""A whole system in one thread, in virtual time, by a seed: scheduler, processes, database.

The processes are the very classes that run as Ray actors elsewhere; what is simulated is what they
touch outside themselves. `tests/simulation` checks the project itself with these parts.
"""

"""HTTP for programs that are not Python: a process of the system, and a client of it."""

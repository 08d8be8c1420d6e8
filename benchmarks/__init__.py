"""Speed, measured: what Thornback does and what it replaces, on the same machine."""

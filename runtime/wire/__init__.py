"""What travels between processes, and its form."""

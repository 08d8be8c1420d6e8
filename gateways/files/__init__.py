"""Events out of files and pipes."""

"""The side of those who send commands and read events."""

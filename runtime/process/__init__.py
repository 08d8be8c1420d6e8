"""What every process of a system shares."""

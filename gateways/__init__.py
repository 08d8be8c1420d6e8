"""Where the outside comes in: clients of the system."""

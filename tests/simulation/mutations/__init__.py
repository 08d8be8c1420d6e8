"""Small faults that are put into the path, to see that the simulation finds them."""

"""What a device is: events, clocks, actors. Pure Python: no Ray, no I/O, no clock reads."""

"""New York's air traffic of 2013: the data, its times, and the proof of a replay."""

"""One writer, the bus it feeds, and the ways to both."""

"""What is computed over streams of events: pure, like actors."""

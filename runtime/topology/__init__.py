"""Who is who: names, shards, placement."""

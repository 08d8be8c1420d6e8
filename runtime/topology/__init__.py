"""Who is who: names, shards, placement; and what processes say of themselves."""

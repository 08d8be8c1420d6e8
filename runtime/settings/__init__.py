"""Settings: what there is to set, and how it is read and checked."""

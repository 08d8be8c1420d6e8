"""The command `thornback`: each of its commands in a module, loaded when it is used."""

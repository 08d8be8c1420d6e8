"""Starting, placing, watching and stopping the processes of a system, on a database of its own."""

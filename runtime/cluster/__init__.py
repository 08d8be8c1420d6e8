"""Starting, placing, watching and stopping the processes of a system."""

"""Which system a connection speaks to, and to which log: is one that is found still the same?"""

from runtime.topology.status import Topology


class KnownSystem:
    """What was found last. In the courier's loop only."""

    def __init__(self, topology: Topology, *, own: bool) -> None:
        """`own`: the connection is of a process of that system, which ends with it. Such a process
        was not told which system that is; it has no other one, and no other log."""
        self._own = own
        self._directory, self._log = topology.directory, topology.log

    def found(self, topology: Topology) -> tuple[bool, bool]:
        """The directory has been asked how the system looks now. Is it the same system? And has it
        the same log?"""
        same = bool(topology.directory) and topology.directory == self._directory
        same_system = self._own or same
        same_log = self._own or topology.log == self._log
        self._directory, self._log = topology.directory, topology.log
        return same_system, same_log

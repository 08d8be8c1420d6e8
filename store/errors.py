"""What can go wrong where events rest."""

from actors.errors import ThornbackError


class StoreError(ThornbackError):
    """Base of everything store/ raises."""


class InvalidData(StoreError):
    """The log cannot hold this value unchanged, so it is refused before it gets there."""

    def __init__(self, event_type: str, problem: str) -> None:
        super().__init__(event_type, problem)
        self.event_type, self.problem = event_type, problem

    def __str__(self) -> str:
        return f"{self.event_type}: {self.problem}"


class UnknownEvent(StoreError):
    """The log has no event of this id, and none of a command of this id."""

    def __init__(self, event_id: str) -> None:
        super().__init__(event_id)
        self.event_id = event_id

    def __str__(self) -> str:
        return f"the log has no event {self.event_id}, and no event of a command of that id"


class AppendRefused(StoreError):
    """Base: nothing of the append was stored, for a reason that a retry as it is keeps."""


class VersionConflict(AppendRefused):
    """An aggregate has an event of this version already. Reload, decide again."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        return f"an aggregate moved on: {self.detail}"


class DuplicateEvent(AppendRefused):
    """An event of this id is in the log: its command took effect before."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        return f"the event is in the log already: {self.detail}"


class StaleEpoch(AppendRefused):
    """A newer incarnation of this node or writer has taken over."""

    def __init__(self, name: str, epoch: int) -> None:
        super().__init__(name, epoch)
        self.name, self.epoch = name, epoch

    def __str__(self) -> str:
        return f"{self.name}: epoch {self.epoch} was replaced by a newer one"


class AnotherSelection(StoreError):
    """A durable subscription of this name selects other events: its checkpoint and its receipt mean
    nothing for these."""

    def __init__(self, name: str, there: str, wanted: str) -> None:
        super().__init__(name, there, wanted)
        self.name, self.there, self.wanted = name, there, wanted

    def __str__(self) -> str:
        return (
            f"the durable subscription {self.name!r} is to {self.there}, and not to {self.wanted}: "
            "subscribe under another name, or drop that one (thornback subscriptions --drop NAME)"
        )


class StaleCheckpoint(AppendRefused):
    """The checkpoint of a durable subscription is not for this one to move: somebody else has
    opened it since, it was dropped, or it stands further already."""

    def __init__(self, name: str, position: int) -> None:
        super().__init__(name, position)
        self.name, self.position = name, position

    def __str__(self) -> str:
        return (
            f"the checkpoint of {self.name!r} does not move to {self.position}: the subscription "
            "was opened somewhere else, or dropped, or stands further"
        )


class AnotherTable(StoreError):
    """The table of this projection has other columns than its rows have now."""

    def __init__(self, name: str, there: str, wanted: str) -> None:
        super().__init__(name, there, wanted)
        self.name, self.there, self.wanted = name, there, wanted

    def __str__(self) -> str:
        return (
            f"the table of the projection {self.name!r} has the columns {self.there}, and its rows "
            f"have {self.wanted} now: build it anew, system.rebuild(Class)"
        )


class NoProjection(StoreError):
    """There is no table of this projection."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"there is no projection {self.name!r}: system.run(...) makes its table"


class Superseded(AppendRefused):
    """An earlier append of the same node was refused, so this one cannot stand."""

    def __init__(self, node: str, sequence: int) -> None:
        super().__init__(node, sequence)
        self.node, self.sequence = node, sequence

    def __str__(self) -> str:
        return f"{self.node}: append {self.sequence} follows one that was refused"


class RowsRefused(AppendRefused):
    """The database cannot hold these rows, whoever sends them."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"the database refuses the rows: {self.reason}"


class StoreUnavailable(StoreError):
    """The database cannot be reached now. A command's outcome may be open: a retry with
    the same id is safe and tells."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(where, reason)
        self.where, self.reason = where, reason

    def __str__(self) -> str:
        return f"the event store at {self.where} is not available: {self.reason}"


class SystemReplaced(StoreUnavailable):
    """Another system has taken the database of this one over: this one is done for good. A
    command's outcome may be open, and the new system tells by its id."""

    def __str__(self) -> str:
        return f"this system has lost its database at {self.where}: {self.reason}"


class DatabaseClaimed(StoreError):
    """A system that may be alive has the database: `by` says which."""

    def __init__(self, by: str) -> None:
        super().__init__(by)
        self.by = by

    def __str__(self) -> str:
        return f"the database is in use by {self.by}"


class SchemaMismatch(StoreError):
    """The database has another schema than this release: a newer one, or an older one that
    no launch has brought up to date (0: none at all)."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(found, known)
        self.found, self.known = found, known

    def __str__(self) -> str:
        advice = (
            "run the newer release"
            if self.found > self.known
            else "launch the system, which brings it up to date"
        )
        return f"the database has schema {self.found}, this release knows {self.known}: {advice}"


class AnotherPartition(StoreError):
    """The log is another partition than the one that is meant, or one of another number of them:
    which of how many it is, its first launch has said for ever."""

    def __init__(self, found: str, wanted: str) -> None:
        super().__init__(found, wanted)
        self.found, self.wanted = found, wanted

    def __str__(self) -> str:
        return (
            f"the log is partition {self.found}, and partition {self.wanted} is wanted: the number "
            "of partitions (event_store.partitions) is that of the first launch, for ever"
        )


class EmbeddedError(StoreError):
    """Base of what an embedded server raises: where, and what is wrong there."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(where, problem)
        self.where, self.problem = where, problem

    def __str__(self) -> str:
        return f"embedded PostgreSQL: {self.where}: {self.problem}"

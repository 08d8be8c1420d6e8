"""Whom the embedded PostgreSQL runs as: it refuses to run as root."""

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from store.errors import EmbeddedError

Command = list[str | Path]


class ToolFailed(EmbeddedError):
    """A tool ended with an error: which, and what it said."""


class ServerUser:
    """This process's own user, or for root another one: `postgres`, or else `nobody`."""

    def __init__(self) -> None:
        self._account = _other_account()

    def __bool__(self) -> bool:
        """Whether it is another user than this process's."""
        return self._account is not None

    @property
    def uid(self) -> int | None:
        """The other user's number."""
        return self._account.pw_uid if self._account else None

    def run(
        self,
        command: Command,
        variables: Mapping[str, str] | None = None,
        *,
        output: IO[str] | None = None,
        inherit: Sequence[int] = (),
    ) -> str:
        """Run a tool as this user; return what it printed unless `output` is given.

        Raises ToolFailed.
        """
        account = self._account
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Not our environment: a PGOPTIONS or PGDATA in it would change the server.
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", **(variables or {})},
            cwd="/",
            umask=0o077,
            pass_fds=inherit,
            user=self.uid,
            group=account and account.pw_gid,
            extra_groups=account and [],
        )
        if done.returncode != 0:
            raise ToolFailed(f"{Path(command[0]).name} failed", done.stdout or "")
        return done.stdout or ""

    def may_execute(self, path: Path) -> bool:
        """Whether this user may run this file, or pass through this folder."""
        if self._account is None:
            return True
        try:
            self.run(["/bin/sh", "-c", 'test -x "$1"', "sh", path])
        except ToolFailed:
            return False
        return True

    def own(self, path: Path) -> None:
        """Make this user the owner of a file, or of a folder and all in it."""
        if self._account is not None:
            for each in [path, *path.rglob("*")]:
                os.chown(each, self._account.pw_uid, self._account.pw_gid, follow_symlinks=False)


def _other_account() -> pwd.struct_passwd | None:
    """Whom the server runs as when that cannot be ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")

"""TLS of a gateway: a certificate and its key out of files, which may be renewed while it runs."""

import logging
import ssl
from pathlib import Path

from actors.errors import ThornbackError

logger = logging.getLogger("thornback.gateway")


class CannotUseCertificate(ThornbackError):
    """Certificate and key cannot be used; the text says which, and why."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return self.problem


class Tls:
    """What a gateway shows its clients. Connections that there are keep what they were shown."""

    #: Between two looks whether the files have changed.
    LOOK_S = 5.0

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises CannotUseCertificate."""
        self._certificate, self._key = certificate, key
        self._seen = self._signs()
        #: What a server is given; each connection is shown what is the newest when it comes.
        self.context = self._newest = _context(certificate, key)
        self.context.sni_callback = self._show

    def renew(self) -> bool:
        """Show what is in the files now, if that has changed; has it? What cannot be used is
        logged, and the gateway goes on with what it has."""
        signs = self._signs()
        if signs == self._seen:
            return False
        self._seen = signs
        try:
            self._newest = _context(self._certificate, self._key)
        except CannotUseCertificate as error:
            logger.error("the old certificate stays in use: %s", error)
            return False
        logger.info("the certificate was renewed from %s", self._certificate)
        return True

    def _show(self, connection: ssl.SSLObject, _name: str | None, _context: object) -> None:
        connection.context = self._newest

    def _signs(self) -> list[tuple[int, int, int] | None]:
        """By which a file is told from the one that it was."""
        found: list[tuple[int, int, int] | None] = []
        for file in (self._certificate, self._key):
            try:
                status = file.stat()
            except OSError:
                found.append(None)
            else:
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return found


def tls_of(certificate: str, key: str) -> Tls | None:
    """As settings have it: both files, or none for no TLS. Raises CannotUseCertificate."""
    if bool(certificate) != bool(key):
        given, missing = "tls_certificate", "tls_key"
        if key:
            given, missing = missing, given
        raise CannotUseCertificate(f"gateway.{given} is given, and gateway.{missing} is not")
    return Tls(Path(certificate), Path(key)) if certificate else None


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    for file, setting in ((certificate, "tls_certificate"), (key, "tls_key")):
        try:
            file.read_bytes()
        except OSError as error:
            raise CannotUseCertificate(
                f"{file} (gateway.{setting}) cannot be read: {error.strerror}"
            ) from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    asked: list[bool] = []

    def password() -> str:
        asked.append(True)  # without this, OpenSSL would ask at a terminal
        return ""

    try:
        context.load_cert_chain(certificate, key, password=password)
    except (ssl.SSLError, ValueError) as error:
        if asked:
            why = "the key is encrypted, and there is nobody to give its password"
        elif getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            why = "the key is another certificate's"
        else:
            why = f"they are no PEM of a certificate and its key ({error})"
        raise CannotUseCertificate(f"{certificate} and {key} cannot be used: {why}") from error
    return context

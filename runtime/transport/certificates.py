"""A machine's certificate, its key and who signs all of them: out of files, which are renewed while
processes run (cert-manager does that).

Nobody watches the files. They are looked at when a connection begins, which is seldom and costs
three questions to the file system, so that whoever comes after a renewal sees the new certificate.
"""

import logging
import ssl
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from runtime.settings.settings import ConfigurationError, Problem, Settings, TlsFile

logger = logging.getLogger("thornback.transport")

#: What each file is expected to be.
_EXPECTED = {
    "certificate": "a readable PEM file of this machine's certificate, with its chain",
    "key": "a readable PEM file of the certificate's key, without a password",
    "ca": "a readable PEM file of who signs the certificates of all machines",
}


class Identity(NamedTuple):
    """What this process shows, and by what it knows others, at both ends of a connection."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    shown: bytes  #: the certificate that others see, as DER


class Certificates:
    """Of one process, by its files. May be asked from any thread."""

    def __init__(self, files: Callable[[], Sequence[TlsFile]]) -> None:
        self._files = files
        self._lock = threading.Lock()  # guards what follows
        self._identity: Identity | None = None
        self._seen: list[object] = []  #: by what the files are known that were read last

    def newest(self) -> Identity:
        """What the files have now. A renewal that cannot be used is logged, and what was read
        before stays in use. Raises ConfigurationError where nothing was."""
        with self._lock:
            files = self._files()
            signs = [_sign(file) for file in files]
            if self._identity is None:
                self._identity = _read(files)
                self._seen = signs
            elif signs != self._seen:
                self._seen = signs
                try:
                    self._identity = _read(files)
                    logger.info("the certificate of calls between machines was renewed")
                except ConfigurationError as error:
                    logger.error("the old certificate stays in use: %s", error)
            return self._identity


def check_certificates(settings: Settings) -> None:
    """Raises ConfigurationError where calls between machines are to be in TLS, and there are no
    usable certificates for that on this machine."""
    if settings.transport.between_machines == "tls":
        Certificates(settings.tls_files).newest()


def _sign(file: TlsFile) -> object:
    """By what a file is told from the one that it was."""
    try:
        status = Path(file.path).stat()
    except OSError:
        return file.path
    return file.path, status.st_mtime_ns, status.st_size, status.st_ino


def _read(files: Sequence[TlsFile]) -> Identity:
    problems = [problem for file in files if (problem := _problem(file)) is not None]
    if problems:
        raise ConfigurationError(*problems)
    certificate, _, _ = files
    shown = ssl.PEM_cert_to_DER_cert(_first_certificate(certificate))
    server, client = (
        _context(protocol, files) for protocol in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)
    )
    return Identity(server, client, shown)


def _problem(file: TlsFile) -> Problem | None:
    if not file.path:
        return _refused(file, f"neither it nor {file.origin}")
    try:
        Path(file.path).read_bytes()
    except OSError as error:
        return _refused(file, f"{file.path}: {error.strerror}")
    return None


def _refused(file: TlsFile, found: str) -> Problem:
    origin = file.origin if file.path else 'transport.between_machines = "tls"'
    return Problem(origin, f"transport.{file.key}", found, _EXPECTED[file.key])


def _first_certificate(file: TlsFile) -> str:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    text = Path(file.path).read_text(errors="replace")
    first = text.find(begin)
    last = text.find(end, first)
    if first < 0 or last < 0:
        raise ConfigurationError(_refused(file, f"{file.path}: no PEM of a certificate"))
    return text[first : last + len(end)]


def _context(protocol: int, files: Sequence[TlsFile]) -> ssl.SSLContext:
    certificate, key, ca = files
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Which process is meant says the token, whatever names are in the certificate.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.num_tickets = 0  # nobody comes back without showing a certificate
    asked: list[bool] = []

    def password() -> str:
        asked.append(True)  # without this, OpenSSL would ask at a terminal
        return ""

    try:
        context.load_cert_chain(certificate.path, key.path, password=password)
    except (ssl.SSLError, ValueError) as error:
        if asked:
            why = "an encrypted key, and there is nobody to give its password"
        elif getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            why = "the key of another certificate"
        else:
            why = f"no PEM of a key, or {certificate.path} is none of its certificate ({error})"
        raise ConfigurationError(_refused(key, f"{key.path}: {why}")) from error
    try:
        context.load_verify_locations(ca.path)
    except ssl.SSLError as error:
        why = f"{ca.path}: no PEM of certificates ({error})"
        raise ConfigurationError(_refused(ca, why)) from error
    return context

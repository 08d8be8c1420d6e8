"""TLS of the gateway: certificates out of files, and what is said where they cannot be used."""

import asyncio
import shutil
import ssl
from pathlib import Path

import aiohttp
import pytest

from gateways.web.tls import CannotUseCertificate, Tls, tls_of
from runtime.errors import StartFailed
from tests.unit.certificates import write_certificate
from tests.unit.http import serving


def trusting(certificate: Path, highest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A client's, who knows this certificate alone."""
    context = ssl.create_default_context(cafile=str(certificate))
    if highest is not None:
        context.maximum_version = highest
    return context


async def test_a_gateway_with_a_certificate_speaks_https(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "one")
    files = {"tls_certificate": str(certificate), "tls_key": str(key)}
    async with serving(gateway=files) as client:
        assert client.address.startswith("https://127.0.0.1:")
        url = f"{client.address}/livez"
        async with client.session.get(url, ssl=trusting(certificate)) as answer:
            assert (answer.status, await answer.json()) == (200, {"alive": True})
        plain = client.address.replace("https", "http")
        with pytest.raises(aiohttp.ClientError):
            async with client.session.get(f"{plain}/livez"):
                pass


async def test_nothing_older_than_tls_1_2_is_spoken(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "one")
    assert Tls(certificate, key).context.minimum_version is ssl.TLSVersion.TLSv1_2
    files = {"tls_certificate": str(certificate), "tls_key": str(key)}
    async with serving(gateway=files) as client:
        port = int(client.address.rpartition(":")[2])
        for version, said in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (None, "TLSv1.3")):
            context = trusting(certificate, version)
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            assert writer.get_extra_info("ssl_object").version() == said
            writer.close()


async def connect(port: int, certificate: Path) -> None:
    """Come, see this certificate, and go."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting(certificate))
    writer.close()


async def test_a_certificate_that_is_renewed_is_shown_to_who_comes_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tls, "LOOK_S", 0.02)
    one, two = write_certificate(tmp_path, "one"), write_certificate(tmp_path, "two")
    shown = tmp_path / "shown.pem", tmp_path / "shown.key"
    for source, target in zip(one, shown, strict=True):
        shutil.copy(source, target)
    files = {"tls_certificate": str(shown[0]), "tls_key": str(shown[1])}
    async with serving(gateway=files) as client:
        port = int(client.address.rpartition(":")[2])
        await connect(port, one[0])
        for source, target in zip(two, shown, strict=True):
            shutil.copy(source, target)
        async with asyncio.timeout(20):
            while True:
                try:
                    await connect(port, two[0])
                except OSError:  # it does not trust the old one
                    continue
                break


def test_a_renewal_that_cannot_be_used_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, key = write_certificate(tmp_path, "one")
    tls = Tls(certificate, key)
    assert not tls.renew()
    certificate.write_text("nonsense")
    assert not tls.renew()
    assert "the old certificate stays in use" in caplog.text
    assert not tls.renew()  # it was said once
    other = write_certificate(tmp_path, "two")
    shutil.copy(other[0], certificate)
    shutil.copy(other[1], key)
    assert tls.renew()


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "one")
    _, other_key = write_certificate(tmp_path, "two")
    _, hidden = write_certificate(tmp_path, "three", password=b"secret")
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    for given, said in (
        ((tmp_path / "none.pem", key), r"none\.pem \(gateway\.tls_certificate\) cannot be read"),
        ((certificate, tmp_path / "none.key"), r"none\.key \(gateway\.tls_key\) cannot be read"),
        ((certificate, other_key), "the key is another certificate's"),
        ((certificate, hidden), "the key is encrypted"),
        ((nonsense, key), "no PEM"),
        ((certificate, nonsense), "no PEM"),
    ):
        with pytest.raises(CannotUseCertificate, match=said):
            Tls(*given)


def test_one_without_the_other_is_refused() -> None:
    assert tls_of("", "") is None
    with pytest.raises(CannotUseCertificate, match=r"tls_certificate is given.*tls_key is not"):
        tls_of("/a", "")
    with pytest.raises(CannotUseCertificate, match=r"tls_key is given.*tls_certificate is not"):
        tls_of("", "/a")


async def test_a_gateway_that_cannot_use_its_certificate_does_not_start() -> None:
    files = {"tls_certificate": "/nowhere/a.pem", "tls_key": "/nowhere/a.key"}
    with pytest.raises(StartFailed, match=r"/nowhere/a\.pem.*cannot be read"):
        async with serving(gateway=files):
            pass

"""A PostgreSQL that the machines of the test reach, as a cluster's own would be."""

from pathlib import Path

from store.embedded.binaries import chosen_binaries
from store.embedded.home import NAME, Home, Marker
from tests.cluster.machines import LAPTOP, NETWORK, Machine

PORT = 5432


def start_database(laptop: Machine, folder: Path, password: str) -> str:
    """Start it there; its connection string. It listens on the network of the machines alone, asks
    for the password, and ends with the laptop. Nothing of it is worth keeping."""
    home = Home(folder)
    with home.locked():
        marker = home.remember(Marker(password=password, port=PORT))
        found = chosen_binaries(home.cluster, given=None, where=folder)
        binaries = home.executable(found)
        home.initialise(binaries, marker)
    with (home.cluster / "pg_hba.conf").open("a") as rules:
        rules.write(f"host all all {NETWORK} scram-sha-256\n")
    options = ["-c", f"listen_addresses={LAPTOP}", "-c", f"port={PORT}",
               "-c", "unix_socket_directories=", "-c", "shared_buffers=64MB"]  # fmt: skip
    with home.new_log() as log:
        laptop.start(
            binaries / "postgres", "-D", home.cluster, *options, output=log, user=home.user.uid
        )
    url = f"postgresql://{NAME}:{password}@{LAPTOP}:{PORT}"
    laptop.eventually(f"PostgreSQL answers ({home.log})", lambda: _made(laptop, binaries, url))
    return f"{url}/{NAME}"


def _made(laptop: Machine, binaries: Path, url: str) -> bool:
    """Has the database been made?"""
    making = binaries / "psql", "-XAtc", f"CREATE DATABASE {NAME}", f"{url}/postgres"
    return laptop.run(*making, check=False).returncode == 0

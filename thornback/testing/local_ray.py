"""A small Ray for tests."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import ray


@contextmanager
def local_ray() -> Iterator[None]:
    """This process is connected to a Ray: the one that it is connected to already, or one that
    is started here and ends here."""
    if ray.is_initialized():
        yield
        return
    # Ray reads these when it starts: no token file in the home folder, no usage reports.
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    folder = tempfile.mkdtemp(prefix="tb-ray-", dir="/tmp")  # sockets allow no long path
    try:
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="warning",
            object_store_memory=150 * 1024 * 1024,
            _temp_dir=folder,
        )
        yield
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)

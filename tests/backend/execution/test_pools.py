"""Which pool a job gets. No Ray is started: `tests/acceptance/test_ray_cluster.py` does."""

import importlib.util
import socket
import time

import pytest

from backend.config import Settings
from backend.contracts import Job, RunControl
from backend.errors import InputError
from backend.execution import pools
from backend.execution.local import LocalExecutor
from backend.execution.pools import check_executor, open_pool
from backend.execution.protocol import Watch
from tests.ports import free_port
from tests.waiting import slowness

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")


def ray(address):
    return Settings(executor="ray", ray_address=address)


def keep_it(_job, /, *, control, settings):
    if control.pool is not None:
        _ = control.pool.width


def nothing():
    """No warm-up."""


def test_the_local_executor_has_no_pool_and_asks_for_nothing():
    with open_pool(Settings()) as pool:
        assert pool is None
    check_executor(Settings(ray_address="nonsense"))


def test_without_ray_the_way_to_install_it_is_named(monkeypatch):
    monkeypatch.setattr(pools.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"requirements/ray\.txt"):
        check_executor(ray("head:6379"))


@needs_ray
def test_a_cluster_that_is_not_there_is_said_at_once():
    began = time.monotonic()
    with pytest.raises(InputError, match=r"No Ray cluster answers at '127\.0\.0\.1"):
        check_executor(ray(f"127.0.0.1:{free_port()}"))
    assert time.monotonic() - began < 5 * slowness()


@needs_ray
@pytest.mark.parametrize("address", ["head", "ray://head:10001", ":6379", "head:port"])
def test_an_address_that_is_none_is_refused_with_what_is_allowed(address):
    with pytest.raises(InputError, match="allowed are 'host:port'"):
        check_executor(ray(address))


@needs_ray
def test_an_answering_port_and_auto_pass_the_first_look():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        check_executor(ray(f"127.0.0.1:{listener.getsockname()[1]}"))
    check_executor(ray("auto"))
    check_executor(ray(None))


@needs_ray
def test_a_pool_that_nobody_uses_connects_to_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        with open_pool(ray(f"127.0.0.1:{listener.getsockname()[1]}")) as pool:
            assert RunControl(pool=pool).pool is pool
        with pytest.raises(TimeoutError):
            listener.accept()
    import ray as library

    assert not library.is_initialized()


@needs_ray
def test_a_job_whose_cluster_is_gone_fails_with_the_sentence():
    settings = ray(f"127.0.0.1:{free_port()}")
    executor = LocalExecutor(settings, warm_up=nothing)
    watch = Watch(report=lambda _: None, cancelled=lambda: False, stopped=lambda: False)
    try:
        outcome = executor.run(keep_it, Job(job_id="job-1", kind="test"), watch=watch)
    finally:
        executor.close()
    assert outcome.state == "failed"
    assert "No Ray cluster answers" in outcome.detail

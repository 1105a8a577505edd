from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.config import Settings
from backend.errors import NotFoundError
from backend.inference.model_cache import ModelCache
from tests.waiting import PATIENCE_S

MIB = 2**20


class Loader:
    """Builds a stand-in predictor with networks of a given size, and counts."""

    def __init__(self, mib: int = 30, *, networks: int = 1) -> None:
        self.mib = mib
        self.networks = networks
        self.loaded: list[str] = []

    def __call__(self, folder: Path) -> SimpleNamespace:
        self.loaded.append(folder.name)
        time.sleep(0.02)
        return SimpleNamespace(size=self.networks * self.mib * MIB, watch=lambda changed: None)


def folders(root: Path, *names: str) -> list[Path]:
    for name in names:
        (root / name).mkdir()
        (root / name / "model.json").write_text("{}")
    return [root / name for name in names]


def test_a_model_is_loaded_once(tmp_path) -> None:
    (folder,) = folders(tmp_path, "one")
    load = Loader()
    cache = ModelCache(Settings(), load=load)
    assert cache.get(folder) is cache.get(folder)
    assert load.loaded == ["one"]


def test_threads_that_ask_together_get_one_and_the_same(tmp_path) -> None:
    (folder,) = folders(tmp_path, "one")
    load = Loader()
    cache = ModelCache(Settings(), load=load)
    with ThreadPoolExecutor(8) as pool:
        found = set(map(id, pool.map(lambda _: cache.get(folder), range(16))))
    assert len(found) == 1
    assert load.loaded == ["one"]


def test_the_least_recently_used_goes_first_when_memory_is_full(tmp_path) -> None:
    one, two, three = folders(tmp_path, "one", "two", "three")
    cache = ModelCache(Settings(model_cache_mb=64), load=Loader(mib=30))
    cache.get(one)
    cache.get(two)
    cache.get(one)
    cache.get(three)
    assert one in cache
    assert two not in cache
    assert three in cache


def test_a_model_larger_than_the_limit_is_served_all_the_same(tmp_path) -> None:
    small, large = folders(tmp_path, "small", "large")
    load = Loader()
    cache = ModelCache(Settings(model_cache_mb=64), load=load)
    cache.get(small)
    load.mib = 100
    cache.get(large)
    assert large in cache
    assert len(cache) == 1


def test_a_model_written_anew_is_loaded_anew(tmp_path) -> None:
    (folder,) = folders(tmp_path, "one")
    load = Loader()
    cache = ModelCache(Settings(), load=load)
    first = cache.get(folder)
    os.utime(folder / "model.json", ns=(1, 1))
    assert cache.get(folder) is not first
    assert load.loaded == ["one", "one"]


def test_loading_one_model_does_not_hold_up_another(tmp_path) -> None:
    slow, quick = folders(tmp_path, "slow", "quick")
    free, loader = threading.Event(), Loader(mib=1)

    def load(folder: Path) -> SimpleNamespace:
        if folder.name == "slow":
            assert free.wait(PATIENCE_S)
        return loader(folder)

    cache = ModelCache(Settings(), load=load)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(cache.get, slow)
        cache.get(quick)
        assert not waiting.done()
        free.set()
        waiting.result(PATIENCE_S)


def test_a_model_that_cannot_be_loaded_is_tried_again_next_time(tmp_path) -> None:
    cache = ModelCache(Settings())
    for _ in range(2):
        with pytest.raises(NotFoundError):
            cache.get(tmp_path / "nothing")
    assert len(cache) == 0


def test_the_cache_opens_real_bundles(saved, settings, picture) -> None:
    cache = ModelCache(settings)
    (answer,) = cache.get(saved).predict([picture("disc", seed=90)])
    assert answer.model.model_id == "model-1"


def test_what_is_not_loaded_is_not_loaded_by_looking(tmp_path) -> None:
    (folder,) = folders(tmp_path, "one")
    load = Loader()
    cache = ModelCache(Settings(), load=load)
    assert cache.peek(folder) is None
    assert load.loaded == []
    loaded = cache.get(folder)
    assert cache.peek(folder) is loaded
    assert cache.loaded() == [loaded]


def test_loads_and_evictions_are_counted_and_told(tmp_path) -> None:
    first, second = folders(tmp_path, "first", "second")
    cache = ModelCache(Settings(model_cache_mb=64), load=Loader(40))
    told = []
    cache.watch(lambda: told.append((cache.loads, cache.evictions, len(cache))))
    cache.get(first)
    cache.get(second)
    cache.get(second)
    assert told == [(1, 0, 1), (2, 1, 1)]

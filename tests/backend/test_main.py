import pytest

from backend import main
from backend.config import Settings
from backend.errors import UnavailableError
from backend.main import create_crew, prepare


def test_a_data_folder_that_cannot_be_made_ends_the_start_with_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnavailableError, match="The data folder cannot be written to"):
        prepare(Settings(data_dir=tmp_path / "file" / "data"))


def do(job, *, control, settings):
    """A handler."""


@pytest.mark.parametrize(
    ("concurrent", "threads", "trainings", "each"), [(1, 4, 1, 4), (2, 4, 2, 2), (3, 4, 3, 1), (8, 2, 2, 1)]
)
def test_cores_are_divided_between_as_many_trainings_as_fit(tmp_path, concurrent, threads, trainings, each):
    settings = Settings(data_dir=tmp_path, concurrent_jobs=concurrent, torch_threads=threads)
    crew = create_crew(settings, handlers={"train_images": do, "check_quality": do})
    lanes = [worker._post.lane for worker in crew.workers]
    assert [lane.name for lane in lanes] == ["training"] * trainings + ["light"]
    assert {lane.limit for lane in lanes[:-1]} == {concurrent}  # the whole database's, not this machine's
    assert {worker._executor._settings.torch_threads for worker in crew.workers} == {each}


def test_nobody_waits_for_kinds_that_cannot_be_done(tmp_path):
    assert len(create_crew(Settings(data_dir=tmp_path), handlers={"train_images": do}).workers) == 1


def test_too_little_memory_is_said_with_the_setting(tmp_path, monkeypatch):
    settings = Settings(data_dir=tmp_path, min_free_memory_mb=700)
    for free, short in ((699, True), (700, False), (None, False)):
        monkeypatch.setattr(main, "free_memory_mb", lambda free=free: free)
        reason = main._short_of_memory(settings)
        assert (reason is not None) == short
        assert reason is None or ("700 MiB" in reason and "SIGHTGLASS_MIN_FREE_MEMORY_MB" in reason)

import pytest

from backend.execution.memory import free_memory_mb

MIB = 1024 * 1024


@pytest.fixture
def machine(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 2097152 kB\n")
    return tmp_path


def container(folder, *, limit, used=0, cached=0):
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")


def free(folder):
    return free_memory_mb(meminfo=folder / "meminfo", cgroup=folder)


def test_what_is_available_counts_not_what_is_unused(machine):
    assert free(machine) == 2048


def test_the_limit_of_a_container_counts_where_it_is_nearer(machine):
    container(machine, limit=1024 * MIB, used=900 * MIB, cached=100 * MIB)
    assert free(machine) == 224
    container(machine, limit="max", used=900 * MIB)
    assert free(machine) == 2048
    container(machine, limit=1024 * MIB, used=2048 * MIB)
    assert free(machine) == 0


def test_a_system_that_says_nothing_is_not_guessed_at(tmp_path):
    assert free(tmp_path) is None

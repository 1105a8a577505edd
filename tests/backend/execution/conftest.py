import sys
from pathlib import Path

import pytest

from backend.config import Settings

sys.path.insert(0, str(Path(__file__).parents[1]))  # service_fakes, for this process and for those it spawns


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings(data_dir=tmp_path_factory.mktemp("data"))

import pytest

from backend.config import Settings
from backend.errors import UnavailableError
from backend.main import prepare


def test_a_data_folder_that_cannot_be_made_ends_the_start_with_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnavailableError, match="The data folder cannot be written to"):
        prepare(Settings(data_dir=tmp_path / "file" / "data"))

"""Files that would run code when they are unpickled run none, wherever Sightglass opens one."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.config import Settings
from backend.engine.checkpoint import read_mapping, read_state
from backend.engine.models import find_spec
from backend.engine.network import create_network
from backend.engine.reference import Reference
from backend.errors import InputError
from backend.storage.journal import JournalPage


class Bomb:
    """Whoever unpickles it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.fixture
def crater(tmp_path):
    """The file that must not come to be."""
    return tmp_path / "crater"


def plain_pickle(path, bomb):
    path.write_bytes(pickle.dumps(bomb, protocol=2))


def saved_by_torch(path, bomb):
    torch.save({"state_dict": {"weight": torch.zeros(2)}, "extra": bomb}, path)


def saved_by_old_torch(path, bomb):
    torch.save({"state_dict": bomb}, path, _use_new_zipfile_serialization=False)


def bomb_behind_tensors(path, bomb):
    """A sound file whose pickle is replaced."""
    buffer = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, buffer)
    with zipfile.ZipFile(buffer) as sound, zipfile.ZipFile(path, "w") as hostile:
        for name in sound.namelist():
            hostile.writestr(name, pickle.dumps(bomb, protocol=2) if name.endswith("data.pkl") else sound.read(name))


WRITERS = [plain_pickle, saved_by_torch, saved_by_old_torch, bomb_behind_tensors]


@pytest.mark.parametrize("write", [plain_pickle, bomb_behind_tensors])
def test_the_bomb_goes_off_where_nobody_is_careful(write, tmp_path, crater):
    """Otherwise the tests below would prove nothing."""
    write(tmp_path / "x.pth", Bomb(crater))
    if write is plain_pickle:
        pickle.loads((tmp_path / "x.pth").read_bytes())
    else:
        torch.load(tmp_path / "x.pth", weights_only=False)
    assert crater.exists()


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("name", ["model.pth", "model.pt", "model.bin", "model.safetensors"])
def test_a_pickle_in_place_of_weights_is_an_error_in_words(write, name, tmp_path, crater):
    path = tmp_path / name
    write(path, Bomb(crater))
    for read in (read_state, read_mapping):
        with pytest.raises(InputError, match=f"'{name}' cannot be read as weights"):
            read(path)
    assert not crater.exists()


def test_the_refusal_says_why_and_not_how_to_run_it_anyway(tmp_path, crater):
    saved_by_torch(tmp_path / "model.pth", Bomb(crater))
    with pytest.raises(InputError) as refused:
        read_state(tmp_path / "model.pth")
    assert "could run code" in refused.value.detail
    assert "still be loaded" not in refused.value.detail
    assert "\x1b" not in refused.value.detail


def test_a_file_of_something_else_is_named_in_words(tmp_path):
    (tmp_path / "model.pth").write_bytes(b"hello")
    with pytest.raises(InputError, match="it is damaged, or something else than weights"):
        read_state(tmp_path / "model.pth")


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".safetensors"])
def test_a_pickle_in_the_weights_folder_is_refused_and_the_file_is_named(write, suffix, tmp_path, crater):
    write(tmp_path / f"resnet18{suffix}", Bomb(crater))
    settings = Settings(offline=True, weights_dir=tmp_path, data_dir=tmp_path / "data")
    with pytest.raises(InputError, match=f"'resnet18{suffix}' cannot be read as weights"):
        create_network(find_spec("resnet18"), num_classes=2, settings=settings, seed=1)
    assert not crater.exists()


def test_a_saved_model_that_somebody_replaced_is_refused(tmp_path, crater):
    from service_fakes import model_info

    from backend.engine.bundle import INFO_FILE, WEIGHTS_FILE, load_bundle

    folder = tmp_path / "md-1"
    folder.mkdir()
    (folder / INFO_FILE).write_text(model_info().model_dump_json())
    saved_by_torch(folder / WEIGHTS_FILE, Bomb(crater))
    with pytest.raises(InputError, match=WEIGHTS_FILE):
        load_bundle(folder, settings=Settings(data_dir=tmp_path / "data"))
    assert not crater.exists()


def objects(bomb):
    array = np.empty(1, dtype=object)
    array[0] = bomb
    return array


def test_objects_in_a_reference_or_a_journal_are_not_unpickled(tmp_path, crater):
    names = ("features", "image_ids", "labels", "threshold", "neighbours")
    np.savez(tmp_path / "reference.npz", allow_pickle=True, **{name: objects(Bomb(crater)) for name in names})
    with pytest.raises(InputError, match=r"reference\.npz"):
        Reference.load(tmp_path / "reference.npz")
    np.savez(tmp_path / "trial.npz", allow_pickle=True, facts=objects(Bomb(crater)))
    assert JournalPage(tmp_path, tick=lambda: None).recall("trial") is None
    assert not crater.exists()


def test_objects_among_decoded_pictures_are_built_anew(tmp_path, crater):
    from backend.data.cache import _stored

    np.save(tmp_path / "images.npy", objects(Bomb(crater)), allow_pickle=True)
    assert _stored(tmp_path / "images.npy", (1, 8, 8, 3)) is None
    assert not crater.exists()

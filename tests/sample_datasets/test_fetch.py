"""Fetching the real sets: a sentence where there is no internet, a folder-per-class ZIP where there is."""

import socket
import time
import zipfile

import pytest
from PIL import Image

from sample_datasets import __main__ as command
from sample_datasets import fetch as fetching
from sample_datasets.fetch import FetchError, Source, folder_name, named_images, require_answer
from tests.waiting import slowness


class FewImages:
    """Stands for a torchvision dataset: five grey images of two classes."""

    classes = ("T-shirt/top", "Ankle boot")
    targets = (0, 1, 0, 0, 1)

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        if index >= len(self):
            raise IndexError(index)
        return Image.new("L", (28, 28), index), self.targets[index]


def silent_address():
    """A listening socket that accepts and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}/"


def test_labels_become_safe_folder_names():
    assert folder_name("T-shirt/top") == "t-shirt_top"
    assert folder_name("../Ankle boot") == "ankle_boot"


def test_images_are_numbered_within_their_class():
    paths = [path for path, _ in named_images("fashion", FewImages())]
    assert paths == [
        "fashion/t-shirt_top/t-shirt_top_00000.png",
        "fashion/ankle_boot/ankle_boot_00000.png",
        "fashion/t-shirt_top/t-shirt_top_00001.png",
        "fashion/t-shirt_top/t-shirt_top_00002.png",
        "fashion/ankle_boot/ankle_boot_00001.png",
    ]


def test_per_class_keeps_the_first_images_of_each_class():
    assert len(list(named_images("fashion", FewImages(), per_class=1))) == 2


def test_a_source_that_never_answers_is_given_up_in_time(monkeypatch):
    monkeypatch.setattr(fetching, "ANSWER_WITHIN_S", 0.3)
    listener, address = silent_address()
    started = time.monotonic()
    with listener, pytest.raises(FetchError, match="This needs internet"):
        require_answer(Source(name="cifar10", loader="CIFAR10", address=address))
    assert time.monotonic() - started < 3 * slowness()


def test_without_internet_the_command_says_so_and_exits_2(monkeypatch, tmp_path, capsys):
    closed, address = silent_address()
    closed.close()
    source = Source(name="cifar10", loader="CIFAR10", address=address)
    monkeypatch.setattr(command, "fetch", lambda name, target, **_: require_answer(source))
    assert command.main(["cifar10", "--out", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert "'cifar10' could not be fetched" in message
    assert "Traceback" not in message
    assert list(tmp_path.iterdir()) == []


def test_a_fetched_set_becomes_a_folder_per_class(monkeypatch, tmp_path):
    datasets = pytest.importorskip("torchvision.datasets")
    monkeypatch.setattr(fetching, "require_answer", lambda source: None)
    monkeypatch.setattr(datasets, "FashionMNIST", lambda folder, train, download: FewImages())
    assert command.main(["fashion_mnist", "--out", str(tmp_path), "--per-class", "2"]) == 0
    with zipfile.ZipFile(tmp_path / "fashion_mnist.zip") as archive:
        assert len(archive.namelist()) == 4
        assert {name.split("/")[1] for name in archive.namelist()} == {"t-shirt_top", "ankle_boot"}


def test_a_download_that_breaks_off_is_told_in_a_sentence(monkeypatch, tmp_path):
    datasets = pytest.importorskip("torchvision.datasets")

    def broken(folder, train, download):
        raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr(fetching, "require_answer", lambda source: None)
    monkeypatch.setattr(datasets, "CIFAR10", broken)
    with pytest.raises(FetchError, match="broke off: File not found"):
        fetching.fetch("cifar10", tmp_path / "cifar10.zip")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["imagenet"], "there is no 'imagenet'"),
        (["--per-class", "0"], "the least is 1"),
        (["--out", "/no/such"], "no folder"),
    ],
)
def test_a_bad_argument_exits_2_naming_it(arguments, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err

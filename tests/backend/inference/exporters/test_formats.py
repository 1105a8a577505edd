from __future__ import annotations

import dataclasses
import errno
import json
import shutil
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.contracts import Preprocessing
from backend.data.images import open_image, prepare_image
from backend.errors import ConflictError, InputError, NotFoundError
from backend.inference.exporters import FORMATS, export, exports_of
from tests.waiting import PATIENCE_S

# A stranger's machine: the script may import torch, timm and Pillow, and neither our code nor what only we need.
STRANGER = """
import importlib.abc, json, sys
from pathlib import Path

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"backend", "frontend", "pydantic", "pytorch_grad_cam", "mlflow"}:
            raise ModuleNotFoundError(f"{name} is not on this machine")

sys.meta_path.insert(0, Absent())
sys.path.insert(0, ".")
import predict, timm, torch
torch.set_num_threads(1)

readme = Path("README.md").read_text().splitlines()
begin = next(place for place, line in enumerate(readme) if line.startswith("    ckpt ="))
names = {"torch": torch, "timm": timm}
exec("\\n".join(line.strip() for line in readme[begin : begin + 3]), names)
net, classes = names["net"].eval(), names["ckpt"]["class_names"]

model = predict.load("model.pth")
answers = []
for path in map(Path, sys.argv[1:]):
    image = predict.upright_rgb(predict.Image.open(path))
    with torch.inference_mode():
        three_lines = classes[int(net(predict.prepare(image, names["ckpt"]["preprocessing"])).argmax())]
    answers.append([*model.predict(path)[0], three_lines])
assert not any(name.split(".")[0] == "backend" for name in sys.modules)
print(json.dumps(answers))
sys.argv = ["predict.py", "--json", *sys.argv[1:3]]
predict.main()
"""


@pytest.fixture(scope="module")
def unpacked(saved, tmp_path_factory) -> Path:
    exported = export(saved, "bundle")
    folder = tmp_path_factory.mktemp("stranger")
    with zipfile.ZipFile(exported.path) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def pictures(tmp_path, picture, predictor) -> list[Path]:
    """Twenty files as people have them: several shapes and formats, a rotated photograph, transparency, grey."""
    paths = []
    for seed in range(20):
        label = predictor.class_names[seed % 3]
        image = picture(label, seed=500 + seed, size=(70 + 17 * (seed % 5), 70 + 23 * (seed % 4)))
        suffix, exif = (".png", ".jpg", ".webp", ".bmp")[seed % 4], Image.Exif()
        if suffix == ".jpg":
            exif[0x0112] = 1 + seed % 8
        if seed in {0, 4}:
            image = image.convert("LA")
        path = tmp_path / f"picture-{seed}{suffix}"
        image.save(path, **({"exif": exif} if suffix == ".jpg" else {}))
        paths.append(path)
    return paths


@pytest.mark.acceptance
def test_a_stranger_with_torch_timm_and_pillow_gets_the_answers_of_the_service(unpacked, pictures, predictor) -> None:
    # -I: no environment variables, no user's packages
    command = [sys.executable, "-I", "-c", STRANGER, *map(str, pictures)]
    ran = subprocess.run(command, cwd=unpacked, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    first, *lines = ran.stdout.splitlines()
    theirs = json.loads(first)
    assert [json.loads(line)["predictions"][0] for line in lines] == [one[:2] for one in theirs[:2]]
    ours = predictor.predict([open_image(path, max_pixels=10**7) for path in pictures])
    assert [label for label, _, _ in theirs] == [answer.predictions[0].label for answer in ours]
    assert [three for _, _, three in theirs] == [answer.predictions[0].label for answer in ours]
    confidences = [confidence for _, confidence, _ in theirs]
    assert confidences == pytest.approx([answer.predictions[0].confidence for answer in ours], abs=1e-3)
    assert len({label for label, _, _ in theirs}) == 3  # the model is no constant


@pytest.mark.parametrize("resize", ["squash", "letterbox", "crop"])
@pytest.mark.parametrize("size", [(40, 40), (97, 33), (31, 200), (640, 11), (1, 1)])
def test_the_script_prepares_pictures_to_the_very_pixel(resize, size) -> None:
    from backend.inference.exporters import standalone

    how = Preprocessing(height=48, width=64, resize=resize, mean=(0.5, 0.4, 0.3), std=(0.2,) * 3)
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    np.testing.assert_array_equal(
        np.asarray(standalone.fit(image, how.model_dump(mode="json"))), prepare_image(image, how)
    )


@pytest.mark.parametrize("mode", ["I;16", "1", "P", "LA", "RGBA", "CMYK", "L"])
def test_the_script_reads_every_kind_of_pixel_as_the_service_does(mode, tmp_path) -> None:
    from backend.inference.exporters import standalone

    values = np.random.default_rng(1).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    if mode == "I;16":
        image = Image.fromarray(values[:, :, 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(values, "RGBA").convert("RGB" if mode == "CMYK" else "RGBA").convert(mode)
    path = tmp_path / ("picture.tif" if mode == "CMYK" else "picture.png")
    image.save(path)
    theirs = standalone.upright_rgb(Image.open(path))
    np.testing.assert_array_equal(np.asarray(theirs), np.asarray(open_image(path, max_pixels=10**6)))


CLEAN = """
import importlib.abc, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"backend", "frontend", "pydantic", "torch", "timm", "onnx", "torchvision"}:
            raise ModuleNotFoundError(f"{name} is not on this machine")
sys.meta_path.insert(0, Absent())
import runpy
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.acceptance
def test_a_stranger_with_onnxruntime_alone_gets_the_answers_of_the_service(unpacked, pictures, predictor) -> None:
    # -I: no environment variables, no user's packages, nothing of the folder that it is started from
    script = [sys.executable, "-I", "-c", CLEAN, str(unpacked / "predict_onnx.py"), "--json", *map(str, pictures)]
    ran = subprocess.run(script, cwd=pictures[0].parent, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    theirs = [json.loads(line)["predictions"] for line in ran.stdout.splitlines()]
    ours = predictor.predict([open_image(path, max_pixels=10**7) for path in pictures])
    assert [best[0][0] for best in theirs] == [answer.predictions[0].label for answer in ours]
    confidences = [best[0][1] for best in theirs]
    assert confidences == pytest.approx([answer.predictions[0].confidence for answer in ours], abs=0.01)


def test_the_pth_is_the_saved_file_under_a_telling_name(saved) -> None:
    exported = export(saved, "pth")
    assert exported.path == saved / "model.pth"
    assert exported.filename == "efficientnet_lite0-model-1.pth"


def test_the_bundle_says_how_good_the_model_is_and_what_it_knows(unpacked) -> None:
    readme = (unpacked / "README.md").read_text()
    assert {path.name for path in unpacked.iterdir()} >= {"model.pth", "model.json", "README.md", "predict.py"}
    assert "90.0%" in readme
    assert "- stripes" in readme


def test_the_bundle_is_made_once(saved) -> None:
    first = export(saved, "bundle").path.stat().st_mtime_ns
    assert export(saved, "bundle").path.stat().st_mtime_ns == first


@pytest.fixture
def few_pictures(monkeypatch) -> None:
    """A comparison of 64 pictures takes seconds; one test does it in full."""
    monkeypatch.setattr("backend.inference.exporters.parity.PICTURES", 2)


CHECKPOINT = "best_model_epoch3_f1_0.8125.pt"


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "checkpoint"])
def test_every_format_gives_a_file_with_a_safe_name(name, saved, tmp_path, info, few_pictures) -> None:
    folder = tmp_path / "model-2"
    folder.mkdir()
    (folder / "model.json").write_text(info(name="timm:resnet10t", model_id="model-2").model_dump_json())
    (folder / "model.pth").symlink_to(saved / "model.pth")
    exported = export(folder, name)
    assert exported.path.is_file()
    assert exported.filename.startswith("timm-resnet10t-model-2.")
    assert "/" in exported.media_type
    assert [one.ready for one in exports_of(folder, info()) if one.format == name] == [True]


def test_what_lies_there_is_told_without_making_it(tmp_path, info) -> None:
    found = {one.format: one for one in exports_of(tmp_path, info())}
    assert set(found) == set(FORMATS) - {"checkpoint"}  # which cannot be made afterwards
    assert not any(one.ready for one in found.values())
    assert found["onnx"].report is None


def test_a_checkpoint_is_handed_out_under_its_own_name(saved, tmp_path, info) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / CHECKPOINT).write_bytes(b"weights")
    (tmp_path / "model.json").write_text(info().model_dump_json())
    (tmp_path / "model.pth").symlink_to(saved / "model.pth")
    exported = export(tmp_path, "checkpoint")
    assert (exported.filename, exported.path.read_bytes()) == (CHECKPOINT, b"weights")
    told = next(one for one in exports_of(tmp_path, info()) if one.format == "checkpoint")
    assert (told.filename, told.ready, told.size_bytes) == (CHECKPOINT, True, 7)


def test_a_model_without_a_best_epoch_says_what_has_one(saved) -> None:
    with pytest.raises(ConflictError, match="trained as a whole"):
        export(saved, "checkpoint")


def test_the_report_of_the_onnx_file_is_told(saved, info) -> None:
    export(saved, "onnx")
    onnx = next(one for one in exports_of(saved, info()) if one.format == "onnx")
    assert onnx.report is not None
    assert onnx.report.agreement == 1.0
    assert onnx.size_bytes == export(saved, "onnx").path.stat().st_size


def test_two_at_once_make_one_file(saved, info, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "model-1"
    shutil.copytree(saved, folder, ignore=shutil.ignore_patterns("export-*"))
    begun, made = threading.Barrier(2, timeout=PATIENCE_S), []

    def write(target, subject) -> None:
        made.append(target)
        (target / "card.html").write_text("once")

    monkeypatch.setitem(FORMATS, "card", dataclasses.replace(FORMATS["card"], write=write))

    def ask() -> Path:
        begun.wait()
        return export(folder, "card").path

    with ThreadPoolExecutor(2) as pool:
        first, second = (pool.submit(ask) for _ in range(2))
    assert first.result() == second.result()
    assert len(made) == 1


def test_a_full_disk_leaves_nothing_half_made(saved, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "model-1"
    shutil.copytree(saved, folder, ignore=shutil.ignore_patterns("export-*"))

    def write(target, subject) -> None:
        (target / "card.html").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    whole = FORMATS["card"]
    monkeypatch.setitem(FORMATS, "card", dataclasses.replace(whole, write=write))
    with pytest.raises(OSError, match="No space"):
        export(folder, "card")
    assert not list(folder.glob("export-*"))
    monkeypatch.setitem(FORMATS, "card", whole)
    assert export(folder, "card").path.is_file()  # the lock was let go


def test_what_a_killed_process_left_is_cleared(saved, tmp_path) -> None:
    folder = tmp_path / "model-1"
    shutil.copytree(saved, folder, ignore=shutil.ignore_patterns("export-*"))
    left = folder / ".tmp-0123456789-export-card-1"
    left.mkdir()
    (left / "card.html").write_text("half")
    assert export(folder, "card").path.parent.name == "export-card-1"
    assert not left.exists()


def test_a_bundle_without_onnx_says_why(saved, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "model-1"
    shutil.copytree(saved, folder, ignore=shutil.ignore_patterns("export-*"))

    def refuse(target, subject) -> None:
        raise ConflictError("It did not agree.")

    monkeypatch.setitem(FORMATS, "onnx", dataclasses.replace(FORMATS["onnx"], write=refuse))
    with zipfile.ZipFile(export(folder, "bundle").path) as archive:
        assert {"predict.py", "model.pth", "card.html"} <= set(archive.namelist())
        assert not {"model.onnx", "predict_onnx.py", "parity.json"} & set(archive.namelist())
        assert "It did not agree." in archive.read("README.md").decode()
    with pytest.raises(ConflictError, match="did not agree"):
        export(folder, "onnx")


def test_an_unknown_format_is_refused_with_the_allowed_ones(saved) -> None:
    with pytest.raises(InputError, match="Allowed: pth, onnx, bundle, card"):
        export(saved, "bundel")


def test_a_folder_without_a_model_cannot_be_exported(tmp_path) -> None:
    with pytest.raises(NotFoundError, match=r"model\.json"):
        export(tmp_path, "pth")


def test_damaged_metadata_is_named(tmp_path) -> None:
    (tmp_path / "model.json").write_text("{")
    (tmp_path / "model.pth").write_bytes(b"")
    with pytest.raises(InputError, match=r"model\.json"):
        export(tmp_path, "bundle")


def test_exporting_imports_no_torch() -> None:
    code = "import sys; import backend.inference.exporters; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

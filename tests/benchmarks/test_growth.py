import zipfile

import pytest

from benchmarks.growth import counted, draw, make_images, rows

PART = {
    "images": 200, "seconds": 10.0, "peak_mib": 900.0, "accuracy": 0.9, "best": "efficientnet_lite0", "networks": 7,
    "stopped_early": 5, "skipped": 0,
}  # fmt: skip


def test_made_images_all_differ_and_classes_are_alike(make_zip, tmp_path):
    make_images(make_zip({"circle": 3, "square": 3}, size=(32, 32)), tmp_path / "made", count=60)
    files = list((tmp_path / "made").glob("*/*.jpg"))
    assert len({file.read_bytes() for file in files}) == 60
    assert [len(list((tmp_path / "made" / label).iterdir())) for label in ("circle", "square")] == [30, 30]


def test_the_same_seed_makes_the_same_images(make_zip, tmp_path):
    archive = make_zip({"circle": 3, "square": 3}, size=(32, 32))
    made = []
    for name in ("a", "b"):
        make_images(archive, tmp_path / name, count=10)
        made.append([path.read_bytes() for path in sorted((tmp_path / name).glob("*/*"))])
    assert made[0] == made[1]


def row(**more):
    return {"strategy": "probe", "status": "ok", "train_images": 100, **more}


def test_networks_that_stopped_early_saw_fewer_images_than_the_longest():
    leaderboard = [row(), row(train_images=25), row(status="skipped", train_images=None), row(strategy="baseline")]
    answer = counted({"leaderboard": leaderboard, "best_model": {"accuracy": 0.9, "name": "resnet18"}})
    assert (answer["networks"], answer["stopped_early"], answer["skipped"]) == (3, 1, 1)


def test_a_row_tells_the_time_of_one_image():
    assert rows([PART])[0][:4] == ("200", "10.0 s", "50.0 ms", "900 MiB")


@pytest.mark.parametrize("parts", [[PART], [PART, {**PART, "images": 2000, "seconds": 40.0}]])
def test_the_plot_is_an_image_that_does_not_change_by_itself(tmp_path, parts):
    drawn = []
    for name in ("a.svg", "b.svg"):
        draw(parts, tmp_path / name)
        drawn.append((tmp_path / name).read_text())
    assert drawn[0] == drawn[1]
    assert "<svg" in drawn[0]


def test_the_source_of_the_pictures_is_a_zip_of_class_folders(make_zip):
    with zipfile.ZipFile(make_zip({"circle": 1})) as archive:
        assert archive.namelist() == ["pictures/circle/000.png"]

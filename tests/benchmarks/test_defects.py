import numpy as np

from backend.contracts import Dataset, DatasetInfo, ImageItem
from backend.contracts.losses import DEFAULT_LOSS
from backend.contracts.presets import preset_entry
from benchmarks import defects, parts
from benchmarks.defects import BOARDS, PICTURE, VARIANTS, measured, table, unseen_board

NAMES = [f"{board}{number:03d}_{strip}.png" for board in sum(BOARDS, ()) for number in range(20) for strip in range(2)]


def dataset():
    items = tuple(
        ImageItem(image_id=name, path=name, label="", digest=name, width=640, height=160, file=f"images/{name}")
        for name in NAMES
    )
    return Dataset.model_construct(info=DatasetInfo.model_construct(dataset_id="ds-1"), items=items)


def test_every_strip_is_tested_once_and_nothing_of_its_board_is_learned():
    tested = []
    for seed in range(3):
        split = unseen_board(dataset(), seed)
        parts = [{NAMES[place] for place in part} for part in (split.train, split.val, split.test)]
        train, val, test = parts
        assert {name[:5] for name in test} == set(BOARDS[seed])
        assert not {name[:5] for name in train | val} & set(BOARDS[seed])
        assert not {name[:PICTURE] for name in train} & {name[:PICTURE] for name in val}
        assert 0.1 < len(val) / len(train | val) < 0.2
        assert sum(map(len, parts)) == len(NAMES)
        tested += list(test)
    assert sorted(tested) == sorted(NAMES)


def test_the_table_says_what_was_not_measured_yet():
    def part(variant, seed, macro_f1):
        figures = {"mean_average_precision": 0.5, "seconds": 10.0, "cpu_seconds": 20.0}
        return {"variant": variant, "seed": seed, "board": f"board {seed}", "macro_f1": macro_f1, **figures}

    text = table([part("all", 0, 0.5), part("all", 1, 0.75), part("less", 0, 0.25)])
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert lines[0][1:4] == ["board 0", "board 1", "mean"]
    assert lines[2][:4] == ["all", "0.500", "0.750", "0.625"]
    assert lines[3][:4] == ["less", "0.250", "-", "0.250"]
    assert np.char.endswith(lines[2][5:7], "s").all()


def test_rows_of_earlier_names_stand_under_those_of_today(tmp_path, monkeypatch):
    monkeypatch.setattr(defects, "RESULTS", tmp_path / "defects.jsonl")
    for name in ("preset defects", "BCE instead of focal", "BCE, no CBAM"):
        parts.keep(defects.RESULTS, {"variant": name, "seed": 0})
    assert [part["variant"] for part in measured()] == ["focal, CBAM", "BCE, CBAM", "BCE, no CBAM"]


def test_one_variant_is_the_preset_itself():
    preset = dict(preset_entry("defects").values["overrides"])
    if preset["loss.type"] == "auto":
        preset["loss.type"] = DEFAULT_LOSS["multilabel"]
    same = [
        one.name for one in VARIANTS if all(preset.get(key, False) == value for key, value in one.overrides.items())
    ]
    assert len(same) == 1

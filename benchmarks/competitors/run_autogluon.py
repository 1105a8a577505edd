"""AutoGluon's side: `MultiModalPredictor` with a preset and a time limit. Runs in AutoGluon's own environment."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pandas as pd
from autogluon.multimodal import MultiModalPredictor


def table_of(folder: Path) -> pd.DataFrame:
    """A row an image: its path, and its class, which is the name of its folder."""
    files = sorted(path for path in folder.glob("*/*") if path.is_file())
    return pd.DataFrame({"image": [str(file) for file in files], "label": [file.parent.name for file in files]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="folder with config.json and pytorch_model.bin")
    parser.add_argument("--preset", default="medium_quality")
    parser.add_argument("--time-limit", type=int, required=True, help="seconds")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    predictor = MultiModalPredictor(
        label="label",
        problem_type="multiclass",
        presets=chosen.preset,
        path=str(chosen.out.with_suffix("")),
        verbosity=1,
    )
    predictor.fit(
        table_of(chosen.train),
        time_limit=chosen.time_limit,
        seed=chosen.seed,
        hyperparameters={
            "model.names": ["timm_image"],
            "model.timm_image.checkpoint_name": str(chosen.weights),
            "env.num_gpus": 0,
        },
    )
    test = table_of(chosen.test)
    answers = predictor.predict(test.drop(columns="label"))
    accuracy = float((answers.to_numpy() == test["label"].to_numpy()).mean())
    chosen.out.write_text(json.dumps({"accuracy": accuracy}), encoding="utf-8")


if __name__ == "__main__":
    main()

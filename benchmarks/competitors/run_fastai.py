"""fastai's side: `vision_learner` and `fine_tune` as its documentation writes them. Runs in fastai's own environment.

All images of the training folder train: none are put aside, for nothing is chosen on them. fastai insists on a
validation set, so the first image stands there too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from fastai.vision.all import (
    CategoryBlock,
    DataBlock,
    ImageBlock,
    Resize,
    aug_transforms,
    get_image_files,
    parent_label,
    set_seed,
    vision_learner,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="folder with imagenet.pth")
    parser.add_argument("--epochs", type=int, required=True, help="after one epoch of the head alone")
    parser.add_argument("--batch-size", type=int, default=64, help="fastai's own default is 64")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    set_seed(chosen.seed, reproducible=True)
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_items=get_image_files,
        get_y=parent_label,
        splitter=lambda items: (range(len(items)), [0]),
        item_tfms=Resize(224),
        batch_tfms=aug_transforms(),
    )
    loaders = block.dataloaders(chosen.train, bs=chosen.batch_size)
    learner = vision_learner(
        loaders,
        "tf_efficientnet_lite0",
        pretrained_cfg_overlay={"file": str(chosen.weights / "imagenet.pth")},
    )
    with learner.no_bar(), learner.no_logging():
        learner.fine_tune(chosen.epochs)
        files = get_image_files(chosen.test)
        scores, _ = learner.get_preds(dl=learner.dls.test_dl(files))
    answers = [learner.dls.vocab[place] for place in scores.argmax(1).tolist()]
    right = sum(answer == parent_label(file) for answer, file in zip(answers, files, strict=True))
    steps = len(loaders.train) * (1 + chosen.epochs)
    chosen.out.write_text(json.dumps({"accuracy": right / len(files), "steps": steps}), encoding="utf-8")


if __name__ == "__main__":
    main()

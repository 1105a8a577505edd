"""Defects of a few pixels on boards that the network has never seen: preset `defects`, and it with one part changed.

What each variant differs in is written out, so that rows stay what they were when the preset changes.

The data: `pcb_multilabel.zip`, 600 strips of 640 x 160 pixels cut from DeepPCB (Tang et al. 2019), six kinds of
defects, any number on a strip. A strip's board is the first five digits of its name. Each seed holds out another board,
so that three seeds test every strip once; 15% of the other boards' pictures choose the epoch and the thresholds.

Every variant is the product's own fine-tune on the same images; the seconds hold all of it, the early stages and the
answers to the test strips included. Parts are kept seed by seed: what was measured already is not measured again.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.execution.native import prepare_native_libraries

prepare_native_libraries()  # as the service's own processes do, before torch is loaded

import numpy as np

from backend.config import Settings
from backend.contracts import Dataset, Preprocessing, Recipe, RunControl, Split
from backend.data import open_dataset
from backend.engine.arithmetic import set_threads
from backend.engine.label_metrics import label_tables, macro_f1, mean_average_precision
from backend.engine.models import ModelSpec, find_spec
from backend.engine.network import Network
from backend.engine.thresholds import decide, tune_thresholds
from backend.search.candidates import describe
from backend.search.study import Study
from backend.search.tuning import run_finetune
from backend.search.watch import TrialWatch
from benchmarks import parts
from benchmarks.parts import Part
from benchmarks.splits import DATA as SHARED
from benchmarks.table import machine, markdown, mean, number

RESULTS = parts.results_file("defects")
DATA = "pcb_multilabel.zip"
BOARDS = (("77000",), ("12100", "12000"), ("00041",))  # 143, 214 and 243 strips; 12000 alone has 19
BOARD, PICTURE = 5, 8  # characters of a strip's name that say its board, and the picture that it was cut from
VALIDATION = 0.15


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What differs from preset defects, in full: its own loss and attention are said too.

    `formerly`: the name of rows measured when the preset was focal loss with attention.
    """

    name: str
    formerly: str = ""
    model: str = "efficientnet_lite0"
    overrides: dict[str, Any] = field(default_factory=dict)
    squashed: bool = False


FOCAL, BCE = {"loss.type": "focal"}, {"loss.type": "bce"}
WITH, WITHOUT = {"model.cbam": True}, {"model.cbam": False}
VARIANTS = (
    Variant(name="focal, CBAM", formerly="preset defects", overrides=FOCAL | WITH),
    Variant(
        name="focal, CBAM, resized to 224 x 224",
        formerly="resized to 224 x 224",
        overrides=FOCAL | WITH | {"data.resolution": "network"},
        squashed=True,
    ),
    Variant(name="BCE, CBAM", formerly="BCE instead of focal", overrides=BCE | WITH),
    Variant(name="focal, no CBAM", formerly="without CBAM", overrides=FOCAL | WITHOUT),
    Variant(name="BCE, no CBAM", overrides=BCE | WITHOUT),
    Variant(
        name="BCE, CBAM, resized to 224 x 224",
        overrides=BCE | WITH | {"data.resolution": "network"},
        squashed=True,
    ),
    Variant(
        name="focal, CBAM, mean instead of max",
        formerly="average pooling",
        overrides=FOCAL | WITH | {"model.pooling": "average"},
    ),
)
NAMES = {variant.formerly: variant.name for variant in VARIANTS if variant.formerly}


def measured() -> list[Part]:
    """What was measured so far, under the variants' names of today."""
    return [part | {"variant": NAMES.get(part["variant"], part["variant"])} for part in parts.read(RESULTS)]


class Squashed(Study):
    """The stronger of two ways to 224 x 224: stretched to fill it. A letterbox leaves 224 x 56 pixels of a strip."""

    def preprocessing(self, network: Network | ModelSpec) -> Preprocessing:
        return super().preprocessing(network).model_copy(update={"resize": "squash"})


def unseen_board(dataset: Dataset, seed: int) -> Split:
    """A board for the test; of the others whole pictures for validation."""
    names = [Path(item.file or item.path).name for item in dataset.items]
    boards = np.array([name[:BOARD] for name in names])
    pictures = np.array([name[:PICTURE] for name in names])
    tested = np.isin(boards, BOARDS[seed % len(BOARDS)])
    known = np.random.default_rng(seed).permutation(np.unique(pictures[~tested]))
    judging = np.isin(pictures, known[: round(VALIDATION * len(known))]) & ~tested
    train, val, test = (np.flatnonzero(part).tolist() for part in (~tested & ~judging, judging, tested))
    return Split(
        train=tuple(train), val=tuple(val), test=tuple(test), seed=seed, strategy="a board that was never seen"
    )


def measure(dataset: Dataset, variant: Variant, *, seed: int, settings: Settings) -> Part:
    """One training, judged on the board that it never saw by thresholds tuned on validation."""
    recipe = Recipe.model_validate(
        {
            "dataset_id": dataset.info.dataset_id,
            "preset": "defects",
            "models": (variant.model,),
            "seed": seed,
            "overrides": variant.overrides,
        }
    )
    split = unseen_board(dataset, seed)
    made = Squashed if variant.squashed else Study
    study = made(dataset=dataset, recipe=recipe, settings=settings, control=RunControl(), split=split)
    spec = find_spec(f"{variant.model}_cbam" if recipe.model.cbam else variant.model)
    candidate = describe(spec, settings)
    started, used = time.perf_counter(), time.process_time()
    watch = TrialWatch(candidate, control=study.control)
    trial = run_finetune(study, candidate, epochs=recipe.num_epochs, watch=watch)
    taken, cpu = time.perf_counter() - started, time.process_time() - used
    if trial.held_out is None or trial.test_probabilities is None:
        raise ValueError(f"'{variant.name}' answered nothing: {trial.reason}")
    thresholds = tune_thresholds(trial.held_out, study.targets[study.val])
    truth, present = study.targets[study.test], decide(trial.test_probabilities, thresholds)
    each, _ = label_tables(trial.test_probabilities, truth, dataset.class_names, thresholds, present)
    part = {
        "variant": variant.name,
        "seed": seed,
        "board": "+".join(BOARDS[seed % len(BOARDS)]),
        "macro_f1": macro_f1(trial.test_probabilities, truth, present),
        "mean_average_precision": mean_average_precision(trial.test_probabilities, truth),
        "per_label": {score.label: round(score.f1, 3) for score in each},
        "best_epoch": trial.best_epoch,
        "parameters": trial.parameters,
        "seconds": taken,
        "cpu_seconds": cpu,
    }
    return parts.keep(RESULTS, part)


def table(found: Sequence[Part]) -> str:
    """Macro-F1 of each seed's board, their mean, mean average precision and time, one line a variant."""
    seeds = sorted({part["seed"] for part in found})
    boards = {part["seed"]: part["board"] for part in found}
    rows = []
    for name in dict.fromkeys(part["variant"] for part in found):
        runs = {part["seed"]: part for part in found if part["variant"] == name}
        scores = [runs[seed]["macro_f1"] for seed in seeds if seed in runs]
        rows.append(
            (
                name,
                *(f"{runs[seed]['macro_f1']:.3f}" if seed in runs else "-" for seed in seeds),
                f"{mean(scores):.3f}",
                f"{mean([run['mean_average_precision'] for run in runs.values()]):.3f}",
                f"{number(mean([run['seconds'] for run in runs.values()]))} s",
                f"{number(mean([run['cpu_seconds'] for run in runs.values()]))} s",
            )
        )
    headers = ("macro-F1 on a board that was never seen", *(boards[seed] for seed in seeds))
    return markdown((*headers, "mean", "mAP", "time", "of one core"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    names = [variant.name for variant in VARIANTS]
    parser.add_argument("--variants", nargs="+", default=names, choices=names, metavar="NAME")
    parser.add_argument("--again", action="store_true", help="measure also what was measured before")
    parser.add_argument("--table", action="store_true", help="measure nothing, put together what was measured")
    chosen = parser.parse_args()
    if not chosen.table and not (SHARED / DATA).exists():
        parser.error(f"'{SHARED / DATA}' is not there; this benchmark needs the real boards")
    done = {(part["variant"], part["seed"]) for part in measured()} if not chosen.again else set()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), offline=True, mlflow_tracking_uri="off")
        set_threads(settings.torch_threads)
        dataset = None if chosen.table else open_dataset(SHARED / DATA, settings=settings)
        for seed in chosen.seeds:
            for variant in VARIANTS:
                if dataset is not None and variant.name in chosen.variants and (variant.name, seed) not in done:
                    part = measure(dataset, variant, seed=seed, settings=settings)
                    print(f"{variant.name}, seed {seed}: {part['macro_f1']:.3f} in {part['seconds']:.0f} s", flush=True)
    print(machine())
    print(table(parts.newest(measured(), "variant", "seed")))


if __name__ == "__main__":
    main()

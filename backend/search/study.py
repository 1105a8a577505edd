"""What all trials of one run share: the images, how they are divided, and what was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backend.contracts import Dataset, Preprocessing, RankBy, Recipe, RunControl, Split, Task
from backend.data.cache import decoded_images
from backend.data.division import divide
from backend.data.imbalance import is_imbalanced
from backend.data.targets import Targets, strata, target_array
from backend.data.transforms import choose_preprocessing
from backend.engine.models import ModelSpec
from backend.engine.network import require_any_size
from backend.engine.probe import HeadPlan
from backend.search.leaderboard import ranking_metric
from backend.search.presets import Depth, depth_of
from backend.search.rungs import growing_order

if TYPE_CHECKING:
    import numpy.typing as npt

    from backend.config import Settings
    from backend.engine.network import Network

    Ints = npt.NDArray[np.integer]


@dataclass(frozen=True, kw_only=True)
class Study:
    """The fixed part of a comparison. Places are rows of `dataset.items`.

    `checkpoints`: folder for the weights of a fine-tune's best epoch, where somebody wants them as files.
    """

    dataset: Dataset
    recipe: Recipe
    settings: Settings
    control: RunControl
    split: Split
    checkpoints: Path | None = None
    _images: dict[tuple[object, ...], npt.NDArray[np.uint8]] = field(default_factory=dict)

    @cached_property
    def targets(self) -> Targets:
        """Class indices [N], or labels [N, C] of 0 and 1."""
        return target_array(self.dataset)

    @property
    def task(self) -> Task:
        return self.dataset.info.task

    def checkpoint_folder(self, network: str) -> Path | None:
        """Where the weights of a network's best epoch go, if anywhere."""
        return None if self.checkpoints is None else self.checkpoints / plain_name(network)

    @cached_property
    def train(self) -> Ints:
        return np.asarray(self.split.train)

    @cached_property
    def val(self) -> Ints:
        return np.asarray(self.split.val)

    @cached_property
    def test(self) -> Ints:
        return np.asarray(self.split.test)

    @cached_property
    def learnable(self) -> Ints:
        """Everything but the test images: what a cross-validated head may learn from."""
        return np.concatenate([self.train, self.val])

    @cached_property
    def depth(self) -> Depth:
        return depth_of(self.recipe)

    @cached_property
    def ranking(self) -> Ints:
        """The images that every candidate is ranked on.

        Probes and refinements have cross-fitted predictions for all learnable images, five times as many as validation
        alone: on small data that steadies the choice. A plain fine-tune has them for validation only.
        """
        return self.val if self.recipe.strategy == "finetune" else self.learnable

    @cached_property
    def growing(self) -> Ints:
        """The learnable images in an order of which every beginning is a fair sample."""
        return self.learnable[growing_order(strata(self.targets[self.learnable]), seed=self.recipe.seed)]

    @cached_property
    def groups(self) -> Ints:
        """A number for each image; equal pictures and near copies have the same, and what the recipe keeps together."""
        numbers = np.arange(len(self.dataset.items))
        for group in self.split.together or self.split.same:
            numbers[list(group)] = group[0]
        return numbers

    def head_plan(self, places: Ints) -> HeadPlan:
        """How heads on some images are fitted: copies stay on one side of every fold."""
        return HeadPlan(
            folds=self.recipe.probe.folds, seed=self.recipe.seed, balanced=self.balanced, groups=self.groups[places]
        )

    @cached_property
    def balanced(self) -> bool:
        """Whether every class counts alike in training: as the recipe says, else where the classes are uneven.

        Of several labels an image the rare ones have thresholds of their own instead: weights would only spoil what
        the probabilities mean.
        """
        choice = self.recipe.class_balance
        if choice == "auto" and self.task == "multilabel":
            return False
        if choice == "auto":
            return is_imbalanced(list(self.dataset.info.class_counts.values()))
        return choice == "balanced"

    @property
    def num_classes(self) -> int:
        return len(self.dataset.class_names)

    @property
    def ranked_by(self) -> RankBy:
        """The score that ranks: as the recipe says, else macro-F1 where the classes are uneven.

        Of several labels an image the mean average precision: thresholds that are tuned on few positives make F1 jump.
        """
        if self.recipe.rank_by != "auto":
            return self.recipe.rank_by
        if self.task == "multilabel":
            return "mean_average_precision"
        return ranking_metric(list(self.dataset.info.class_counts.values()))

    def preprocessing(self, network: Network | ModelSpec) -> Preprocessing:
        """How the images become the network's input, at the recipe's resolution.

        Raises:
            RecipeError: the network takes one size only, and the recipe asks for another.
        """
        resolution = self.recipe.data.resolution
        if resolution != "network":
            require_any_size(network if isinstance(network, ModelSpec) else network.spec)
        return choose_preprocessing(
            self.dataset, size=network.input_size, mean=network.mean, std=network.std, resolution=resolution
        )

    def images(self, preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
        """All images as the networks see them, [N, H, W, 3]; decoded once for each input size."""
        key = (preprocessing.height, preprocessing.width, preprocessing.resize, preprocessing.mean)
        if key not in self._images:
            self._images[key] = decoded_images(
                self.dataset,
                preprocessing,
                cache_dir=self.settings.cache_dir,
                limit_mb=self.settings.cache_mb,
                control=self.control,
            )
        return self._images[key]


def plain_name(network: str) -> str:
    """A network's name as a folder's: `timm:resnet18` holds what some systems refuse."""
    return network.replace(":", "-").replace("/", "-")


def open_study(dataset: Dataset, recipe: Recipe, *, settings: Settings, control: RunControl) -> Study:
    """Divide the images and gather what the trials need.

    Raises:
        RecipeError: a class of the recipe is not in the dataset.
        DatasetError: a class has too few images to be divided.
    """
    split = divide(dataset, recipe.data, test_size=recipe.test_size, seed=recipe.seed)
    return Study(dataset=dataset, recipe=recipe, settings=settings, control=control, split=split)

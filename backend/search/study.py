"""What all trials of one run share: the images, how they are divided, and what was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from backend.contracts import Dataset, Preprocessing, Recipe, RunControl, Split
from backend.data.cache import decoded_images
from backend.data.imbalance import is_imbalanced
from backend.data.split import stratified_split
from backend.data.transforms import choose_preprocessing
from backend.engine.probe import HeadPlan

if TYPE_CHECKING:
    import numpy.typing as npt

    from backend.config import Settings
    from backend.engine.network import Network

    Ints = npt.NDArray[np.integer]

# What each preset of strategy "auto" does after every network was probed: (networks refined, epochs of the fine-tune).
REFINEMENT: dict[str, tuple[int, int]] = {"fast": (0, 0), "balanced": (1, 6), "best": (3, 12)}


@dataclass(frozen=True, kw_only=True)
class Study:
    """The fixed part of a comparison. Places are rows of `dataset.items`."""

    dataset: Dataset
    recipe: Recipe
    settings: Settings
    control: RunControl
    split: Split
    _images: dict[tuple[object, ...], npt.NDArray[np.uint8]] = field(default_factory=dict)

    @cached_property
    def targets(self) -> Ints:
        return np.asarray(self.dataset.targets)

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

    @property
    def refined(self) -> int:
        """How many networks are fine-tuned after the probes."""
        return REFINEMENT[self.recipe.preset][0] if self.recipe.strategy == "auto" else 0

    @property
    def refine_epochs(self) -> int:
        return REFINEMENT[self.recipe.preset][1]

    @cached_property
    def ranking(self) -> Ints:
        """The images that every candidate is ranked on.

        Probes have cross-validated predictions for all learnable images, five times as many as validation alone:
        on small data that steadies the choice. A fine-tune has them for validation only, so a run with one uses that.
        """
        return self.learnable if self._probes_only else self.val

    @property
    def ranking_words(self) -> str:
        count = len(self.ranking)
        if self._probes_only:
            return f"cross-validation over {count} training and validation images"
        return f"{count} validation images"

    @property
    def _probes_only(self) -> bool:
        return self.recipe.strategy == "probe" or (self.recipe.strategy == "auto" and self.refined == 0)

    @cached_property
    def head_plan(self) -> HeadPlan:
        """How heads on the learnable images are fitted: equal pictures stay on one side of every fold."""
        digests = [self.dataset.items[place].digest for place in self.learnable]
        return HeadPlan(
            folds=self.recipe.probe.folds,
            seed=self.recipe.seed,
            balanced=self.balanced,
            groups=np.unique(digests, return_inverse=True)[1],
        )

    @cached_property
    def balanced(self) -> bool:
        """Whether every class counts alike in training: as the recipe says, else where the classes are uneven."""
        choice = self.recipe.class_balance
        if choice == "auto":
            return is_imbalanced(list(self.dataset.info.class_counts.values()))
        return choice == "balanced"

    @property
    def num_classes(self) -> int:
        return len(self.dataset.class_names)

    def preprocessing(self, network: Network) -> Preprocessing:
        return choose_preprocessing(self.dataset, size=network.input_size, mean=network.mean, std=network.std)

    def images(self, preprocessing: Preprocessing) -> npt.NDArray[np.uint8]:
        """All images as the networks see them, [N, H, W, 3]; decoded once for each input size."""
        key = (preprocessing.height, preprocessing.width, preprocessing.resize, preprocessing.mean)
        if key not in self._images:
            self._images[key] = decoded_images(
                self.dataset, preprocessing, cache_dir=self.settings.cache_dir, control=self.control
            )
        return self._images[key]


def open_study(dataset: Dataset, recipe: Recipe, *, settings: Settings, control: RunControl) -> Study:
    """Divide the images and gather what the trials need.

    Raises:
        RecipeError: a class of the recipe is not in the dataset.
        DatasetError: a class has too few images to be divided.
    """
    split = stratified_split(dataset, test_size=recipe.test_size, seed=recipe.seed)
    return Study(dataset=dataset, recipe=recipe, settings=settings, control=control, split=split)

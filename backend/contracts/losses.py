"""The losses a network may learn by, as data: names, what each takes, and when it fits. No torch here.

`backend.engine.losses` holds the function of each; a test checks that the two agree. API, CLI and UI read this list.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError

from backend.contracts.base import Record, numbers_in
from backend.contracts.dataset import Task
from backend.contracts.misfit import misfit
from backend.errors import RecipeError
from backend.registry import Registry, nearest

LossName = Literal["auto", "cross_entropy", "bce", "focal"]
Share = Annotated[float, Field(ge=0, le=1)]

SMOOTHING = "Share of the target that is taken back: spread over all classes, or half of it for each label; 0: none."


class CrossEntropyParams(Record):
    """Of the cross-entropy of a softmax: one class a picture."""

    label_smoothing: float = Field(0.0, ge=0, lt=1, description=SMOOTHING)


class BceParams(Record):
    """Of the binary cross-entropy of a sigmoid for each label."""

    label_smoothing: float = Field(0.0, ge=0, lt=1, description=SMOOTHING)


class FocalParams(Record):
    """Of the focal loss (Lin et al. 2017, "Focal Loss for Dense Object Detection").

    `alpha` with many labels is the weight of a label's positives, its negatives weigh 1 - alpha; with one class a
    picture it is the weight of the class.
    """

    alpha: Literal["none", "dynamic"] | Share | tuple[Share, ...] = Field(
        "none",
        description="Weight of the rare: a number, one for each class, dynamic (by how often each occurs), none.",
    )
    gamma: float = Field(2.0, ge=0, le=20, description="How much less sure answers count; 0: all alike.")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description=SMOOTHING)


class LossEntry(Record):
    """One loss. `tasks`: the datasets it can learn from."""

    name: str
    description: str
    tasks: tuple[Task, ...]
    params: type[Record]


LOSS_CATALOGUE: Registry[LossEntry] = Registry("loss")
for _entry in (
    LossEntry(
        name="cross_entropy",
        description="Cross-entropy of a softmax: one class a picture.",
        tasks=("multiclass",),
        params=CrossEntropyParams,
    ),
    LossEntry(
        name="bce",
        description="Binary cross-entropy of each label by itself: any number of labels a picture.",
        tasks=("multiclass", "multilabel"),
        params=BceParams,
    ),
    LossEntry(
        name="focal",
        description="Focal loss: what is answered well already counts less, so that rare and hard cases count more.",
        tasks=("multiclass", "multilabel"),
        params=FocalParams,
    ),
):
    LOSS_CATALOGUE.register(_entry.name, _entry)

DEFAULT_LOSS: dict[Task, LossName] = {"multiclass": "cross_entropy", "multilabel": "bce"}


class LossSettings(Record):
    """What a recipe says of its loss. What is left open (None) is the loss's own default.

    A parameter that the chosen loss does not have is refused by `checked_params`, not ignored.
    """

    type: LossName = Field("auto", description="auto: cross_entropy for one class a picture, bce for many labels.")
    alpha: Annotated[Literal["none", "dynamic"] | Share | tuple[Share, ...] | None, BeforeValidator(numbers_in)] = (
        Field(None, description="focal: weight of the rare; a number, one for each class, dynamic, none.")
    )
    gamma: float | None = Field(None, ge=0, le=20, description="focal: how much less sure answers count; 2 where open.")
    label_smoothing: float | None = Field(None, ge=0, lt=1, description=SMOOTHING)

    def entry(self, task: Task) -> LossEntry:
        """The loss for a dataset of this kind.

        Raises:
            RecipeError: the loss cannot learn from such a dataset.
        """
        entry = LOSS_CATALOGUE.get(DEFAULT_LOSS[task] if self.type == "auto" else self.type)
        if task not in entry.tasks:
            fitting = ", ".join(other.name for other in LOSS_CATALOGUE if task in other.tasks)
            raise RecipeError(
                f"loss.type '{entry.name}' is for one class a picture, and these pictures carry any number of labels. "
                f"Choose one of: {fitting}."
            )
        return entry

    def checked_params(self, task: Task) -> Record:
        """The parameters of the loss for a dataset of this kind, its defaults where the recipe is silent.

        Raises:
            RecipeError: the loss does not take one of them, or a value is out of range.
        """
        entry = self.entry(task)
        given = {name: value for name, value in self.model_dump(exclude={"type"}).items() if value is not None}
        known = entry.params.model_fields
        for name in given:
            if name not in known:
                raise RecipeError(
                    f"The loss '{entry.name}' has no '{name}'.{nearest(name, known)} It takes: {', '.join(known)}. "
                    "Another loss.type may take it."
                )
        try:
            return entry.params.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            raise RecipeError(f"'loss.{first['loc'][0]}' does not fit: {misfit(first)}") from error

    def check(self, task: Task, *, num_classes: int) -> Record:
        """The same, where the number of classes is known too.

        Raises:
            RecipeError: as `checked_params`, or weights are listed for another number of classes.
        """
        params = self.checked_params(task)
        if isinstance(self.alpha, tuple) and len(self.alpha) not in {1, num_classes}:
            raise RecipeError(
                f"'loss.alpha' lists {len(self.alpha)} numbers for {num_classes} classes. Give one for each class in "
                "the dataset's order, a single one for all, or dynamic."
            )
        return params

"""The recipe: everything that a person may choose about one training run. One schema for API, CLI and UI."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from backend.contracts.base import Id, Record
from backend.errors import RecipeError
from backend.registry import nearest

Strategy = Literal["auto", "probe", "finetune"]
Preset = Literal["fast", "balanced", "best"]
HeadStart = Literal["solve", "train"]
ClassBalance = Literal["auto", "balanced", "plain"]
RankBy = Literal["accuracy", "macro_f1", "mean_average_precision"]
RankingChoice = Literal["auto", "accuracy", "macro_f1", "mean_average_precision"]
SplitRule = Literal["by_test_size", "stratified_70_15_15", "stratified_80_10_10"]
# "folder", "prefix:<characters>" or "before:<what separates>": no regular expression, which could run for hours
GROUP_RULE = r"^(|folder|prefix:[1-9][0-9]{0,2}|before:.{1,20})$"


class FinetuneSettings(Record):
    """Numbers of the fine-tune. Learning rates are peak values of the schedule."""

    head: HeadStart = Field(
        "solve",
        description="solve: the head begins as a regression on the features; train: by head_epochs of small steps.",
    )
    head_lr: float = Field(
        1e-2, gt=0, le=10, description="Peak learning rate of a trained head; a solved one takes at most backbone_lr."
    )
    backbone_lr: float = Field(3e-4, gt=0, le=10, description="Peak learning rate of the network below the head.")
    weight_decay: float = Field(0.01, ge=0, le=10, description="AdamW's decoupled weight decay.")
    warmup_fraction: float = Field(0.1, ge=0, le=0.9, description="Share of the steps in which the rate rises.")
    head_epochs: int = Field(1, ge=0, le=1000, description="Epochs in which a trained head moves alone.")
    patience: int = Field(5, ge=1, le=1000, description="Epochs without a better validation score before stopping.")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="Share of the target spread over the other classes.")
    layer_decay: float = Field(
        0.8, gt=0, le=1, description="Rate of each stage as a share of the rate of the one above it; 1: all alike."
    )
    unfreeze_epochs: int = Field(
        0, ge=0, le=1000, description="Epochs in which the stages begin to train one by one, the last ones first."
    )
    ema_decay: float = Field(
        0.0, ge=0, lt=1, description="Memory of the weights' moving average, which is what is kept; 0: none."
    )
    mixup_alpha: float = Field(0.0, ge=0, le=10, description="How much mixup blends two images; 0: none.")
    cutmix_alpha: float = Field(0.0, ge=0, le=10, description="How much cutmix pastes of another image; 0: none.")
    rand_magnitude: int = Field(0, ge=0, le=30, description="Strength of RandAugment's random changes; 0: none.")


class RefineSettings(Record):
    """Numbers of the refinement that follows the probes under strategy auto. Its steps are the fine-tune's."""

    folds: int = Field(3, ge=2, le=20, description="Folds of the cross-validation that judges a refinement.")
    trained_stages: int = Field(
        1, ge=0, le=100, description="Last stages that train; earlier ones are computed once. 0: all train."
    )
    views: int = Field(4, ge=0, le=100, description="Random views of each image, where early stages are computed once.")
    learning_rate: float = Field(1e-3, gt=0, le=10, description="Peak learning rate where only the last stages train.")


class ProbeSettings(Record):
    """Numbers of the linear head on frozen features."""

    folds: int = Field(5, ge=2, le=20, description="Folds of the cross-validation that chooses the regularisation.")


class DataSettings(Record):
    """How the images are divided into training, validation and test."""

    split: SplitRule = Field(
        "by_test_size",
        description="by_test_size: test_size for the test, a fifth of the rest for validation; or fixed shares of "
        "training, validation and test.",
    )
    group_by: str = Field(
        "",
        max_length=40,
        pattern=GROUP_RULE,
        description="Images of one group never lie on both sides: prefix:5 groups by the first 5 characters of the "
        "file's name, before:_ by what stands before the first _, folder by the upload's folders. Empty: no groups.",
    )


class Recipe(Record):
    """What `train/start` takes. Defaults give a sensible run."""

    dataset_id: Id
    dataset_version: int | None = Field(
        None, ge=1, le=2**31 - 1, description="Version of the dataset; none: the newest when the job is queued."
    )
    num_epochs: int = Field(2, ge=1, le=1000, description="Passes over the training images in a fine-tune.")
    batch_size: int = Field(16, ge=1, le=1024, description="Images a step.")
    test_size: float = Field(0.2, ge=0.05, le=0.5, description="Share of the images that only the final test sees.")
    models: tuple[str, ...] | None = Field(None, min_length=1, max_length=50, description="Networks; none: defaults.")
    classes: tuple[str, ...] | None = Field(None, min_length=2, description="Only these classes; none: all.")
    strategy: Strategy = Field("auto", description="auto: chosen by preset; probe: linear head; finetune: all layers.")
    preset: Preset = Field("fast", description="What 'auto' does: fast probes; balanced and best also fine-tune.")
    augmentations: tuple[str, ...] | None = Field(None, description="Random changes in a fine-tune; none: defaults.")
    time_budget_s: float | None = Field(
        None, ge=1, le=604_800, description="Seconds for the whole run, the saved model included; none: the preset's."
    )
    class_balance: ClassBalance = Field(
        "auto",
        description="Whether every class counts alike in training: auto does so above a ratio of 3 between the largest "
        "and the smallest; balanced: always; plain: never.",
    )
    rank_by: RankingChoice = Field(
        "auto",
        description="Score that ranks the networks; auto: macro_f1 where classes are uneven, else accuracy; where an "
        "image may have several labels, mean_average_precision.",
    )
    ensemble: bool | None = Field(
        None,
        description="Whether several networks may answer together where that wins: slower by their number. None: only "
        "with preset best.",
    )
    seed: int = Field(42, ge=0, le=2**32 - 1, description="Same seed, same machine, same result.")
    overrides: dict[str, float | int | str | bool] = Field(
        default_factory=dict, description="Dotted expert settings, such as finetune.backbone_lr."
    )

    @field_validator("num_epochs", "batch_size", "test_size", "time_budget_s", "seed", "dataset_version", mode="before")
    @classmethod
    def _refuse_truth_values(cls, value: Any) -> Any:
        """JSON's true is no number, though Python's is 1."""
        if isinstance(value, bool):
            raise ValueError("a number is needed, not true or false")  # noqa: TRY004 - pydantic reports ValueErrors
        return value

    @property
    def finetune(self) -> FinetuneSettings:
        return FinetuneSettings.model_validate(self._overridden("finetune"))

    @property
    def refine(self) -> RefineSettings:
        return RefineSettings.model_validate(self._overridden("refine"))

    @property
    def data(self) -> DataSettings:
        return DataSettings.model_validate(self._overridden("data"))

    @property
    def probe(self) -> ProbeSettings:
        return ProbeSettings.model_validate(self._overridden("probe"))

    def _overridden(self, section: str) -> dict[str, Any]:
        prefix = f"{section}."
        return {key[len(prefix) :]: value for key, value in self.overrides.items() if key.startswith(prefix)}

    def check_overrides(self) -> None:
        """Raise on an override that is unknown or out of range.

        Raises:
            RecipeError: names the key, the nearest right one and what is allowed.
        """
        allowed = override_keys()
        for key, value in self.overrides.items():
            if key not in allowed:
                raise RecipeError(f"There is no setting '{key}'.{nearest(key, allowed)} Allowed: {', '.join(allowed)}.")
            if isinstance(value, bool):
                raise RecipeError(f"'{key}' does not fit: a number or a word is needed, not true or false.")
        for section, model in SECTIONS.items():
            try:
                model.model_validate(self._overridden(section))
            except ValueError as error:
                first = error.errors()[0] if hasattr(error, "errors") else {"loc": ("?",), "msg": str(error)}
                raise RecipeError(f"'{section}.{first['loc'][0]}' does not fit: {first['msg']}.") from error


SECTIONS: dict[str, type[Record]] = {
    "finetune": FinetuneSettings,
    "refine": RefineSettings,
    "probe": ProbeSettings,
    "data": DataSettings,
}


def override_keys() -> list[str]:
    """Every dotted key that `Recipe.overrides` takes."""
    return [f"{section}.{field}" for section, model in SECTIONS.items() for field in model.model_fields]


class OverrideKey(Record):
    """One expert setting, as a form or a table shows it."""

    name: str
    description: str
    default: float | int | str | bool


def override_entries() -> list[OverrideKey]:
    """Every dotted key with its meaning and its default."""
    return [
        OverrideKey(name=f"{section}.{name}", description=field.description or "", default=field.default)
        for section, model in SECTIONS.items()
        for name, field in model.model_fields.items()
    ]

"""The expert settings of a recipe, section by section: what each number means, its bounds and its default."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from backend.contracts.base import Record, numbers_in

HeadStart = Literal["solve", "train"]
SplitRule = Literal["by_test_size", "stratified_70_15_15", "stratified_80_10_10"]
Side = Annotated[int, Field(ge=32, le=8192)]
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
    warmup_epochs: float | None = Field(
        None, ge=0, le=1000, description="Epochs in which the rate rises; none: warmup_fraction says it."
    )
    accumulate: int = Field(
        1, ge=1, le=256, description="Batches whose gradients are added up before a step: larger steps in less memory."
    )
    batch_norm: Literal["keep", "train"] = Field(
        "keep",
        description="Statistics of pretrained BatchNorm layers; keep: as they were; train: they follow the pictures.",
    )
    freeze_backbone: bool = Field(False, description="Only the head trains, and attention where there is any.")
    frozen_stride: Literal[0, 2, 4, 8, 16] = Field(
        0,
        description="Stages whose maps are at most so many times smaller than the picture stay as they are; what they "
        "see is computed once where memory holds it. 0: all train.",
    )


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


class ModelSettings(Record):
    """What is changed in every network of a run before it trains."""

    cbam: bool = Field(False, description="Attention after the last two stages (CBAM); convolutional networks only.")
    pooling: Literal["average", "max"] = Field(
        "average",
        description="How a map of features becomes one row; max: a small defect on a large picture is not averaged "
        "away.",
    )


class DataSettings(Record):
    """How large the networks see the images, and how these are divided into training, validation and test."""

    resolution: Annotated[Literal["network", "full"] | tuple[Side, Side], BeforeValidator(numbers_in)] = Field(
        "network",
        description="network: the size that each network was made for; full: as the images are, nothing scaled, with a "
        "border where sizes differ; or [height, width] in pixels, 32 to 8192.",
    )

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

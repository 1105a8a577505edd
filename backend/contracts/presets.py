"""Short names for settings, and what a preset says of a recipe where nobody else did. It computes nothing.

A recipe is settled when it is read, so that a stored one says in full what was done, and reading it again changes
nothing. `search.presets` holds how deep the presets of strategy auto look.
"""

from __future__ import annotations

from typing import Any, Final

# Dotted words that mean a field of the recipe, so that a whole run can be written as dotted keys.
FIELD_KEYS: Final[dict[str, str]] = {
    "experiment.seed": "seed",
    "training.num_epochs": "num_epochs",
    "data.batch_size": "batch_size",
    "model.name": "models",
}
# Dotted words that mean another dotted key: one place holds each number.
OTHER_NAMES: Final[dict[str, str]] = {
    "optimizer.lr": "finetune.backbone_lr",
    "optimizer.weight_decay": "finetune.weight_decay",
    "training.warmup_epochs": "finetune.warmup_epochs",
    "training.early_stopping_patience": "finetune.patience",
    "training.accumulate": "finetune.accumulate",
    "model.freeze_backbone": "finetune.freeze_backbone",
    "model.frozen_stride": "finetune.frozen_stride",
}
AUGMENT: Final = "augment."  # augment.<name>=true or false: one random change more, or less

# Defects of a few pixels on strips that are long and narrow, several kinds on one of them. Each number was measured on
# strips of boards that the network had not seen (benchmarks/defects.py, docs/performance.md).
PRESET_VALUES: Final[dict[str, dict[str, Any]]] = {
    "defects": {
        "strategy": "finetune",
        "num_epochs": 20,
        "augmentations": ("horizontal_flip", "vertical_flip"),
        "overrides": {
            "data.resolution": "full",
            "data.split": "stratified_70_15_15",
            "loss.type": "focal",
            "model.cbam": True,
            "model.pooling": "max",
            "finetune.head": "train",
            "finetune.head_epochs": 0,
            "finetune.head_lr": 3e-3,
            "finetune.backbone_lr": 1e-3,
            "finetune.layer_decay": 1.0,
            "finetune.weight_decay": 0.02,
            "finetune.batch_norm": "train",
            "finetune.patience": 10,  # macro-F1 jumps while the rate is high; its best epochs are the last ones
            "finetune.frozen_stride": 8,
        },
    }
}


def settled(values: dict[str, Any]) -> dict[str, Any]:
    """A recipe's raw values, dotted words for fields moved to them, and the preset's filled in.

    Raises:
        ValueError: a field and its dotted name say different things.
    """
    values = dict(values)
    overrides = values.get("overrides")
    if overrides is not None and not isinstance(overrides, dict):
        return values  # the recipe's own check names what is wrong
    overrides = {OTHER_NAMES.get(str(key), str(key)): value for key, value in (overrides or {}).items()}
    for key, field in FIELD_KEYS.items():
        if key in overrides:
            said = overrides.pop(key)
            said = [said] if field == "models" and isinstance(said, str) else said
            if field in values and values[field] != said:
                raise ValueError(f"'{key}' is {said!r} and '{field}' is {values[field]!r}: say it once")
            values[field] = said
    preset = values.get("preset")
    chosen = PRESET_VALUES.get(preset, {}) if isinstance(preset, str) else {}
    if values.get("strategy", "auto") == "auto" or values["strategy"] == chosen.get("strategy"):
        if chosen and values.get("strategy") == "auto":
            del values["strategy"]
        overrides = {**chosen.get("overrides", {}), **overrides}
        values = {**chosen, **values}
    if overrides or "overrides" in values:
        values["overrides"] = overrides
    return values


def dotted_words() -> list[str]:
    """Every dotted word that stands for something else."""
    return [*FIELD_KEYS, *OTHER_NAMES]

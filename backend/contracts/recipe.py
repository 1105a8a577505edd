"""The recipe: everything that a person may choose about one training run. One schema for API, CLI and UI."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from backend.contracts.base import Id, Record
from backend.contracts.losses import LossSettings
from backend.contracts.misfit import misfit
from backend.contracts.presets import AUGMENT, FIELD_KEYS, OTHER_NAMES, dotted_words, settled
from backend.contracts.recipe_sections import (
    DataSettings,
    FinetuneSettings,
    ModelSettings,
    ProbeSettings,
    RefineSettings,
)
from backend.errors import RecipeError
from backend.registry import nearest

Strategy = Literal["auto", "probe", "finetune"]
Preset = Literal["fast", "balanced", "best", "defects"]
ClassBalance = Literal["auto", "balanced", "plain"]
RankBy = Literal["accuracy", "macro_f1", "mean_average_precision"]
RankingChoice = Literal["auto", "accuracy", "macro_f1", "mean_average_precision"]
Setting = float | int | str | bool | tuple[float | int, ...]  # 64 stays 64: a recipe is read back as it was written


def _one_sentence(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """Of what is no setting say what one is, where pydantic has a sentence for each kind that it is not."""
    try:
        return read(value)
    except ValidationError:
        raise ValueError("a number, a word, true or false, or a list of numbers is needed") from None


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
    overrides: dict[str, Annotated[Setting | None, WrapValidator(_one_sentence)]] = Field(
        default_factory=dict, description="Dotted expert settings, such as finetune.backbone_lr."
    )

    @model_validator(mode="before")
    @classmethod
    def _settle(cls, values: Any) -> Any:
        """Dotted words become the fields that they mean, and the preset says what nobody said."""
        return settled(values) if isinstance(values, dict) else values

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
    def loss(self) -> LossSettings:
        return LossSettings.model_validate(self._overridden("loss"))

    @property
    def model(self) -> ModelSettings:
        return ModelSettings.model_validate(self._overridden("model"))

    @property
    def augmentation_switches(self) -> dict[str, bool]:
        """Random changes that are switched on or off one by one, by `augment.<name>`."""
        return {key.removeprefix(AUGMENT): bool(on) for key, on in self.overrides.items() if key.startswith(AUGMENT)}

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
            if key.startswith(AUGMENT):  # which there are, `data.augmentation_catalogue` knows
                if not isinstance(value, bool):
                    raise RecipeError(f"'{key}' does not fit: true or false is needed, not {value!r}.")
                continue
            if key not in allowed:
                raise no_setting(key)
            if isinstance(value, bool) and _field(key).annotation is not bool:
                raise RecipeError(f"'{key}' does not fit: a number or a word is needed, not true or false.")
        for section, model in SECTIONS.items():
            try:
                model.model_validate(self._overridden(section))
            except ValidationError as error:
                first, *others = error.errors()
                key = f"{section}.{first['loc'][0]}"
                word = next((f" It is also called {word}." for word, name in OTHER_NAMES.items() if name == key), "")
                several = any(other["loc"][0] == first["loc"][0] for other in others)
                said = misfit(first, meaning=_field(key).description or "", several=several)
                raise RecipeError(f"'{key}' does not fit: {said}{word}") from error


SECTIONS: dict[str, type[Record]] = {
    "finetune": FinetuneSettings,
    "refine": RefineSettings,
    "probe": ProbeSettings,
    "data": DataSettings,
    "loss": LossSettings,
    "model": ModelSettings,
}


def _field(key: str) -> FieldInfo:
    section, _, name = key.partition(".")
    return SECTIONS[section].model_fields[name]


def override_keys() -> list[str]:
    """Every dotted key that `Recipe.overrides` takes."""
    return [f"{section}.{field}" for section, model in SECTIONS.items() for field in model.model_fields]


def no_setting(key: str, *, more: Iterable[str] = ()) -> RecipeError:
    """What to say of a key that there is not: the nearest right one, and those of its section, or else all.

    `more` are allowed here too.
    """
    known = [*override_keys(), *dotted_words(), *more]
    section = f"{key.partition('.')[0]}."
    allowed = [name for name in known if name.startswith(section)] or known
    namesakes = _namesakes(key, allowed) or _namesakes(key, known)
    meant = _nearest_of(key, namesakes) or nearest(key, allowed) or nearest(key, known)  # a right section is no slip
    elsewhere = [name for name in namesakes if name not in allowed]
    return RecipeError(f"There is no setting '{key}'.{meant} Allowed: {', '.join([*allowed, *elsewhere])}.")


def _namesakes(key: str, names: Iterable[str]) -> list[str]:
    """Names whose last part is the key's; without one, those that say it by its initials, or the other way round.

    A last part that is right says more than any likeness: `model.gamma` is most like `model.name`, and means
    `loss.gamma`; `optimizer.learning_rate` is `optimizer.lr`.
    """
    asked = key.rpartition(".")[2].lower()
    parts = {name: name.rpartition(".")[2] for name in names if asked}
    same = [name for name, part in parts.items() if part == asked]
    return same or [name for name, part in parts.items() if asked == _initials(part) or part == _initials(asked)]


def _initials(word: str) -> str:
    """`learning_rate` gives `lr`; nothing of a single word."""
    parts = word.split("_")
    return "".join(part[:1] for part in parts) if len(parts) > 1 else ""


def _nearest_of(key: str, names: list[str]) -> str:
    """One of the names in any case, the nearest where there are several; nothing of none."""
    return (nearest(key, names) or f" Did you mean '{names[0]}'?") if names else ""


def default_of(key: str) -> Any:
    """What a setting is where neither a person nor a preset says it: of a dotted key or word, or a recipe's field."""
    key = OTHER_NAMES.get(key, key)
    field = FIELD_KEYS.get(key, key)
    return (Recipe.model_fields[field] if field in Recipe.model_fields else _field(key)).default


class OverrideKey(Record):
    """One expert setting, as a form or a table shows it. None: open, which the description explains."""

    name: str
    description: str
    default: Setting | None


def override_entries() -> list[OverrideKey]:
    """Every dotted key with its meaning and its default."""
    return [
        OverrideKey(name=f"{section}.{name}", description=field.description or "", default=field.default)
        for section, model in SECTIONS.items()
        for name, field in model.model_fields.items()
    ]

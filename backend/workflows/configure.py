"""A run as it is written: `KEY=VALUE` in Hydra's grammar, presets, a configuration file. Out come a recipe's options.

Hydra composes (`backend/engine/presets/config.yaml`, a preset, what was typed) through its compose API: it changes no
folder and no logging, and it is loaded only here, never by the API process. Only what was typed goes on to the recipe,
which fills in the preset from the same files: so one rule decides what a preset says, whoever asks. Nothing here knows
torch or data.
"""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from backend.contracts import Recipe
from backend.contracts.presets import (
    AUGMENT,
    PRESETS_FOLDER,
    as_sections,
    dotted_words,
    flattened,
    preset_names,
    renamed,
    values_of,
)
from backend.contracts.recipe import default_of, no_setting, override_keys
from backend.errors import InputError, RecipeError
from backend.registry import nearest
from backend.storage.files import atomic_write

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

PRESET = "preset"
CONFIG_FILE = "config.yaml"
MOST_RUNS = 1000  # of one sweep: 1,000 runs of a minute are 17 hours; more is a slip of the pen
NOT_TYPED = frozenset({"dataset_id", "overrides"})
HEAD = f"""# What this run was trained with, every choice of its preset written out. The same again, from the same data:
#   sightglass train <data> --config <this folder>/{CONFIG_FILE}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One `KEY=VALUE`, read.

    Attributes:
        key: without the signs before it.
        texts: the value as it was written; several where it is a sweep.
        sweep: whether it was written as one, be it over a single value.
        deleted: `~KEY`: as if no preset had said it.
    """

    key: str
    texts: tuple[str, ...]
    sweep: bool = False
    deleted: bool = False

    def typed(self) -> str:
        return f"{self.key}={self.texts[0]}"


def options_of(texts: Sequence[str]) -> dict[str, Any]:
    """A recipe's options: `["preset=defects", "loss.gamma=3"]` gives `{"preset": "defects", "overrides": {...}}`.

    Raises:
        InputError: a text is no KEY=VALUE of Hydra's grammar, or holds several values.
        RecipeError: a key that there is not; the message names the nearest.
    """
    words = [_word(text) for text in texts]
    for word in words:
        if word.sweep:
            raise InputError(
                f"'{word.key}={','.join(word.texts)}' holds several values. Train with each: --multirun; one list: "
                f"'{word.key}=[{','.join(word.texts)}]'; one text: \"{word.key}='{','.join(word.texts)}'\"."
            )
    return _options(words)


def sweep_of(texts: Sequence[str]) -> list[tuple[dict[str, str], dict[str, Any]]]:
    """The product of all sweeps: for each run what was swept, as it was written, and its options.

    Raises:
        InputError, RecipeError: as `options_of`; or nothing is swept, or far too much.
    """
    words = [_word(text) for text in texts]
    runs = _product(words)
    if not any(word.sweep for word in words):
        raise InputError("--multirun needs something to go through, such as loss.gamma=1,2,3 or seed=range(3).")
    return [
        ({word.key: word.texts[0] for word, kind in zip(chosen, words, strict=True) if kind.sweep}, _options(chosen))
        for chosen in runs
    ]


def _product(words: list[Word]) -> Iterator[list[Word]]:
    count = 1
    for word in words:
        count *= len(word.texts)
    if count > MOST_RUNS:
        raise InputError(f"That is {count:,} runs; {MOST_RUNS:,} are the most at once. Sweep over fewer values.")
    for texts in itertools.product(*(word.texts for word in words)):
        yield [replace(word, texts=(text,)) for word, text in zip(words, texts, strict=True)]


def _word(text: str) -> Word:
    """Read one text.

    Raises:
        InputError, RecipeError: as `options_of`.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    try:
        [said] = OverridesParser.create().parse_overrides([text])
    except OverrideParseException as error:
        reason = str(error).split("\n")[0]
        seen = "" if reason.startswith("Error parsing") else f" ({reason})"
        raise InputError(
            f"'{text}' is no expert setting; write KEY=VALUE, such as finetune.backbone_lr=1e-4.{seen}"
        ) from error
    key = said.key_or_group
    if said.package is not None:
        raise InputError(f"'{text}': a package (@{said.package}) has no place here; write {key}=VALUE.")
    _require_known(key)
    if said.is_delete():
        return Word(key=key, texts=("null",), deleted=True)
    if not text.partition("=")[2].strip():
        raise InputError(f"'{text}' is no expert setting; it has no value. Write {key}=null for none.")
    if not said.is_sweep_override():
        return Word(key=key, texts=(text.partition("=")[2],))
    return Word(key=key, texts=_swept(said, text), sweep=True)


def _swept(said: Override, text: str) -> tuple[str, ...]:
    if said.is_interval_sweep():
        raise InputError(f"'{text}': an interval has no end of values; write some of them, or range(start,stop,step).")
    if not said.is_discrete_sweep():
        raise InputError(f"'{text}': this kind of sweep is not known here.")
    from hydra.core.override_parser.types import Glob

    value = said.value()
    if isinstance(value, Glob):
        if said.key_or_group != PRESET:
            raise InputError(f"'{text}': glob is for presets; write the values.")
        return tuple(name for name in sorted(preset_names()) if _matches(name, value))
    texts = tuple(said.sweep_string_iterator())
    return tuple(text.lower() if text in {"True", "False"} else text for text in texts)  # as they are written


def _matches(name: str, glob: Any) -> bool:
    included = any(fnmatch.fnmatch(name, pattern) for pattern in glob.include)
    return included and not any(fnmatch.fnmatch(name, pattern) for pattern in glob.exclude)


def _require_known(key: str) -> None:
    fields = [field for field in Recipe.model_fields if field not in NOT_TYPED]
    if key in {*fields, *override_keys(), *dotted_words()} or (key.startswith(AUGMENT) and key != AUGMENT):
        return
    of_section = [name for name in (*override_keys(), *dotted_words()) if name.startswith(f"{key}.")]
    if of_section:
        raise RecipeError(f"'{key}' is a section; write one of its settings: {', '.join(of_section)}.")
    raise no_setting(key, more=fields)


def _options(words: list[Word]) -> dict[str, Any]:
    composed = _composed([word for word in words if not word.deleted])
    options: dict[str, Any] = {}
    for word in words:
        value = default_of(word.key) if word.deleted else _found(composed, word.key)
        if word.key in Recipe.model_fields:
            options[word.key] = value
        else:
            options.setdefault("overrides", {})[word.key] = value
    return options


def _composed(words: list[Word]) -> dict[str, Any]:
    """What Hydra makes of a preset and of what was typed.

    Raises:
        InputError: no such preset, or a value that refers to what there is not.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    preset = next((word.texts[0].strip().strip("'\"") for word in reversed(words) if word.key == PRESET), None)
    if preset is not None and preset not in preset_names():
        raise InputError(f"There is no preset '{preset}'.{nearest(preset, preset_names())} Allowed: {_listed()}.")
    typed = [word.typed() if word.key == PRESET else f"++{word.typed()}" for word in words]
    try:
        with initialize_config_dir(config_dir=str(PRESETS_FOLDER), job_name="sightglass", version_base="1.3"):
            composed: Any = OmegaConf.to_container(compose("config", overrides=typed), resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        said = " ".join(str(error).split())
        raise InputError(f"These settings do not go together: {said}") from error
    return dict(composed)


def _listed() -> str:
    return ", ".join(sorted(preset_names()))


def _found(composed: dict[str, Any], key: str) -> Any:
    section, _, name = key.partition(".")
    return composed[section][name] if name else composed[section]


def composed_preset(name: str) -> dict[str, Any]:
    """A recipe's options with all that Hydra composes for a preset. The preset's name alone gives the same recipe."""
    return {"preset": name, **values_of(_composed([Word(key=PRESET, texts=(name,))]))}


def read_config(path: Path) -> dict[str, Any]:
    """The options that a configuration file says, as `write_config` writes it, or a person in the same shape.

    Raises:
        InputError: no such file, or it is no configuration.
        RecipeError: a key that there is not; the message names the file and the nearest key.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    file = path / CONFIG_FILE if path.is_dir() else path
    try:
        said: Any = OmegaConf.to_container(OmegaConf.load(file), resolve=True)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, OmegaConfBaseException) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise InputError(
            f"The configuration '{file}' cannot be read: {reason}. Name the {CONFIG_FILE} of a run."
        ) from error
    if not isinstance(said, dict):
        raise InputError(
            f"The configuration '{file}' holds no settings; it is a YAML file such as a run's {CONFIG_FILE}."
        )
    fields: dict[str, Any] = {}
    overrides: dict[str, Any] = {}
    for key, value in flattened({str(key): value for key, value in said.items()}).items():
        try:
            _require_known(key)
        except RecipeError as error:
            raise RecipeError(f"In '{file}': {error.detail}") from error
        (fields if key in Recipe.model_fields else overrides)[key] = value
    try:
        return renamed(fields | ({"overrides": overrides} if overrides else {}))
    except ValueError as error:
        raise InputError(f"In '{file}': {error}.") from error


def write_config(recipe: Recipe, path: Path) -> None:
    """Write what a run is trained with, every choice of its preset written out; its dataset stays unnamed."""
    values = recipe.model_dump(mode="json", exclude={"dataset_id"})
    atomic_write(path, HEAD + yaml.safe_dump(as_sections(values), sort_keys=False, allow_unicode=True))


def above(below: dict[str, Any], *others: dict[str, Any]) -> dict[str, Any]:
    """Options on top of options: a file's, then what was typed. Two words for one thing are the same thing.

    Raises:
        InputError: what was typed says one thing twice, and not the same.
    """
    merged = below
    for options in others:
        try:
            typed = renamed(options)
        except ValueError as error:
            raise InputError(f"{error}.") from error
        overrides = {**merged.get("overrides", {}), **typed.get("overrides", {})}
        merged = merged | typed | ({"overrides": overrides} if overrides else {})
    return merged

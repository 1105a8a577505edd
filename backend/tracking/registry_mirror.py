"""MLflow's model registry, brought in line with ours: a registered model a dataset, a version a model, one champion.

Each call brings everything of a dataset in line, whatever was missed before: what could not be told while a store was
away is told by the next call. It works on a client that it is handed, and imports no MLflow itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backend.contracts import RegisteredModel, RegisteredTableModel

Client = Any  # an MlflowClient; one file imports mlflow, and not this one
Version = Any

AnyModel = RegisteredModel | RegisteredTableModel

PREFIX = "sightglass-"
CHAMPION = "champion"
MODEL_ID, STATE = "sightglass.model_id", "sightglass.state"


def mirror_dataset(
    client: Client, experiment_id: str, dataset_id: str, *, models: Sequence[AnyModel], models_dir: Path
) -> None:
    """Make the registered model of a dataset say what our registry says of `models`, newest first.

    A model that is gone loses its version; the registered model of a dataset without models goes as well. `models_dir`
    is where a model lies whose run the store does not know.
    """
    name = f"{PREFIX}{dataset_id}"
    known = _registered(client, name)
    if not models:
        if known is not None:
            client.delete_registered_model(name)
        return
    if known is None:
        client.create_registered_model(name, tags={"sightglass.dataset_id": dataset_id})
    versions = _versions(client, name, keep={model.model_id for model in models})
    for model in reversed(models):  # oldest first, so that the numbers rise with time
        version = versions.get(model.model_id)
        if version is None:
            versions[model.model_id] = _create(client, experiment_id, name, model, models_dir=models_dir)
        else:
            _retag(client, name, version, _tags(model))
    promoted = next((versions[model.model_id].version for model in models if model.state == "promoted"), None)
    _crown(client, name, promoted)


def _registered(client: Client, name: str) -> Any | None:
    found = client.search_registered_models(f"name = '{name}'")
    return found[0] if found else None


def _versions(client: Client, name: str, *, keep: set[str]) -> dict[str, Version]:
    """The versions by our models' ids. Those of models that are gone go, and doubles, which two processes may make."""
    found: dict[str, Version] = {}
    for version in sorted(client.search_model_versions(f"name = '{name}'"), key=lambda one: int(one.version)):
        model_id = version.tags.get(MODEL_ID)
        if model_id is None:
            continue  # somebody else's: a person may keep versions of their own here
        if model_id in found or model_id not in keep:
            client.delete_model_version(name, version.version)
        else:
            found[model_id] = version
    return found


def _create(client: Client, experiment_id: str, name: str, model: AnyModel, *, models_dir: Path) -> Version:
    run = _run_of(client, experiment_id, model.model_id)
    if run is None:
        source, run_id = (models_dir / model.model_id).resolve().as_uri(), None
    else:
        source, run_id = f"{run.info.artifact_uri}/bundle/{model.model_id}", run.info.run_id
    said = _in_words(model)
    return client.create_model_version(
        name, source, run_id=run_id, tags=_tags(model), description=said, await_creation_for=0
    )


def _run_of(client: Client, experiment_id: str, model_id: str) -> Any | None:
    found = client.search_runs([experiment_id], f"tags.`{MODEL_ID}` = '{model_id}'", max_results=1)
    return found[0] if found else None


def _in_words(model: AnyModel) -> str:
    if isinstance(model, RegisteredTableModel):
        return f"{model.name}, predicts {model.target}: {model.metric} {model.score:.3f} on rows held out"
    return f"{model.name}, {model.accuracy:.1%} of its test images right"


def _tags(model: AnyModel) -> dict[str, str]:
    common = {
        MODEL_ID: model.model_id,
        STATE: model.state,
        "sightglass.dataset_version": str(model.dataset_version),
        "sightglass.job_id": model.job_id or "",
        "sightglass.promoted_by": model.promoted_by or "",
    }
    if isinstance(model, RegisteredTableModel):
        own = {"target": model.target, "metric": model.metric, "score": f"{model.score:.6f}"}
    else:
        scores = {"accuracy": f"{model.accuracy:.6f}", "macro_f1": f"{model.macro_f1:.6f}"}
        own = {"network": model.timm_name, **scores}
    return common | {f"sightglass.{key}": value for key, value in own.items()}


def _retag(client: Client, name: str, version: Version, tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        if version.tags.get(key) != value:
            client.set_model_version_tag(name, version.version, key, value)


def _crown(client: Client, name: str, version: str | None) -> None:
    """Move the alias to a version, or take it away; nothing where it stands already."""
    now = client.get_registered_model(name).aliases.get(CHAMPION)
    if version is None:
        if now is not None:
            client.delete_registered_model_alias(name, CHAMPION)
    elif str(now) != str(version):
        client.set_registered_model_alias(name, CHAMPION, version)

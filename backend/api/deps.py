"""What routes ask for, as types: the services, and ids that can exist."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request

from backend.api.security import LOCAL, caller_of
from backend.api.services import Services
from backend.config import Settings
from backend.contracts import ID_PATTERN, AuditAction, Caller
from backend.data.names import shown
from backend.errors import NotFoundError
from backend.storage.catalog import Catalog
from backend.workflows.thresholds import ThresholdChoice


def get_services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(get_services)]


def _settings(services: ServicesDep) -> Settings:
    return services.settings


def _catalog(services: ServicesDep) -> Catalog:
    return services.catalog


SettingsDep = Annotated[Settings, Depends(_settings)]
CatalogDep = Annotated[Catalog, Depends(_catalog)]

_ID = re.compile(ID_PATTERN.rstrip("$"))


def check_id(value: str, *, noun: str, where: str) -> str:
    """Return the id as it is.

    Raises:
        NotFoundError: nothing can have this id; asking the database is spared what it cannot store.
    """
    if _ID.fullmatch(value) is None:
        raise NotFoundError(
            f"There is no {noun} '{shown(value)}': an id has 3 to 64 of a-z, 0-9, '-' and '_'. {where} lists those "
            "there are."
        )
    return value


def _path_id(name: str, *, noun: str, where: str) -> Any:
    """A path parameter that is an id; what cannot be one is not found."""

    def dependency(value: str) -> str:
        return check_id(value, noun=noun, where=where)

    # The parameter's name in the path differs from route to route, so the annotation is made here.
    annotation = Annotated[str, Path(alias=name, json_schema_extra={"pattern": ID_PATTERN})]
    dependency.__annotations__["value"] = annotation
    named: Callable[..., str] = dependency
    return Depends(named)


DatasetId = Annotated[str, _path_id("dataset_id", noun="dataset", where="GET /api/cv/datasets")]
Version = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="A version of the dataset; without it, the newest.")
]


def _thresholds(
    miss_cost: Annotated[
        float | None,
        Query(gt=0, le=1e9, description="What a missed label costs, in any unit; with false_alarm_cost."),
    ] = None,
    false_alarm_cost: Annotated[
        float | None, Query(gt=0, le=1e9, description="What a label costs that is said and not there.")
    ] = None,
    threshold: Annotated[
        list[str] | None,
        Query(max_length=1000, description="A label's own threshold, as crack=0.3; may be given several times."),
    ] = None,
) -> ThresholdChoice:
    """Thresholds of one request, for models of several labels."""
    return ThresholdChoice(miss_cost=miss_cost, false_alarm_cost=false_alarm_cost, named=threshold or ())


Thresholds = Annotated[ThresholdChoice, Depends(_thresholds)]
CallerDep = Annotated[Caller, Depends(caller_of)]


def _author(caller: CallerDep) -> str:
    """Who asks, for a dataset's history; '' where the service knows nobody by name."""
    return "" if caller.name == LOCAL else caller.name


Author = Annotated[str, Depends(_author)]


class Auditor:
    """Writes a line of the audit log in the name of whoever asks."""

    def __init__(self, services: ServicesDep, caller: CallerDep) -> None:
        self._log = services.audit
        self._caller = caller

    def note(self, action: AuditAction, subject: str, *, dataset_id: str | None = None, detail: str = "") -> None:
        """Write that `action` was done to the dataset, job or model `subject`.

        Raises:
            UnavailableError: the database does not answer.
        """
        self._log.add(action, subject, caller=self._caller, dataset_id=dataset_id, detail=detail)


AuditorDep = Annotated[Auditor, Depends()]
ImageId = Annotated[str, _path_id("image_id", noun="image", where="GET /api/cv/datasets/{dataset_id}/images")]
JobId = Annotated[str, _path_id("job_id", noun="job", where="GET /api/cv/jobs")]
UploadId = Annotated[str, _path_id("upload_id", noun="upload", where="GET /api/cv/uploads")]
ModelId = Annotated[str, _path_id("model_id", noun="model", where="GET /api/cv/models")]
DatasetOrModelId = Annotated[
    str, _path_id("dataset_or_model_id", noun="model or dataset", where="GET /api/cv/models or /api/cv/datasets")
]

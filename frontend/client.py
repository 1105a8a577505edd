"""One typed method for each API call: the only HTTP in the frontend. Knows nothing of Streamlit.

```
ApiError    whatever went wrong, with `detail` ready to be shown to a person
```
Every path segment is quoted, so that an id from the URL cannot reach another route.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, cast

import httpx2

from frontend.answers import (
    AnswerPage,
    CandidateAnswer,
    DatasetAnswer,
    ExplanationAnswer,
    HealthAnswer,
    JobAnswer,
    ModelAnswer,
    OptionsAnswer,
    PredictionAnswer,
    ResultsAnswer,
)
from frontend.i18n.catalogue import FALLBACK, say
from frontend.insight_answers import InsightsAnswer
from frontend.label_answers import ThresholdAnswer, ThresholdQuery
from frontend.registry_answers import AuditAnswer, CardAnswer, DriftAnswer, PromotionAnswer, RegisteredAnswer
from frontend.segments import segment
from frontend.table_client import Tables
from frontend.version_answers import ComparisonAnswer, CorrectionsBody, DifferenceAnswer, ImagePage

DEFAULT_URL = "http://127.0.0.1:8000"
# Seconds. Reading is generous: an import of a large ZIP and the first prediction after a start both take a while.
TIMEOUT = httpx2.Timeout(connect=5.0, read=600.0, write=600.0, pool=30.0)
# The service breaks the silence of a stream every 15 s.
STREAM_TIMEOUT = httpx2.Timeout(connect=5.0, read=45.0, write=30.0, pool=30.0)


class ApiError(Exception):
    """The service refused, or could not be reached. `status` is 0 where no answer came at all."""

    def __init__(self, detail: str, *, title: str = "", status: int = 0) -> None:
        super().__init__(detail)
        self.detail = detail
        self.title = title
        self.status = status


@dataclass(frozen=True)
class JobEvent:
    """One event of a job: how it stands now. `event_id` is where a broken stream is taken up; None: not in the log."""

    event_id: str | None
    job: dict[str, Any]


class Client:
    """The API, as Python calls. Safe to share between threads.

    `language` goes with every request: in it the service says what went wrong, and so does this client.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        language: str = FALLBACK,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.language = language
        headers = {"Accept-Language": language} | ({"X-API-Key": api_key} if api_key else {})
        self._http = httpx2.Client(base_url=self.base_url, headers=headers, timeout=TIMEOUT, transport=transport)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    @property
    def tables(self) -> Tables:
        """The calls for tables."""
        return Tables(self._json, self._bytes)

    # --- service
    def health(self) -> HealthAnswer:
        return cast(HealthAnswer, self._json("GET", "/health"))

    def candidates(self) -> list[CandidateAnswer]:
        return cast(list[CandidateAnswer], self._json("GET", "/api/cv/candidates"))

    def options(self) -> OptionsAnswer:
        return cast(OptionsAnswer, self._json("GET", "/api/cv/options"))

    # --- datasets
    def upload(self, file: BinaryIO, filename: str) -> DatasetAnswer:
        """Send a ZIP; the file is streamed, not read whole."""
        files = {"file": (filename, file, "application/zip")}
        return cast(DatasetAnswer, self._json("POST", "/api/cv/upload", files=files))

    def import_path(self, path: str) -> JobAnswer:
        """Have a folder, ZIP or TAR imported that lies on the server."""
        return cast(JobAnswer, self._json("POST", "/api/cv/import", json={"path": path}))

    def datasets(self) -> list[DatasetAnswer]:
        return cast(list[DatasetAnswer], self._json("GET", "/api/cv/datasets"))

    def dataset(self, dataset_id: str, *, version: int | None = None) -> DatasetAnswer:
        """One dataset; without a version, as it stands now."""
        params = {} if version is None else {"version": version}
        return cast(DatasetAnswer, self._json("GET", f"/api/cv/datasets/{segment(dataset_id)}", params=params))

    def images(self, dataset_id: str, *, excluded: bool, limit: int = 100) -> ImagePage:
        """The first images of a dataset; with `excluded`, of those that its newest version leaves out."""
        params = {"excluded": "true" if excluded else "false", "limit": limit}
        return cast(ImagePage, self._json("GET", f"/api/cv/datasets/{segment(dataset_id)}/images", params=params))

    def image_page(
        self, dataset_id: str, *, label: str | None, issue: str | None, offset: int, limit: int
    ) -> ImagePage:
        """Part of a dataset's images, of one class or with one issue where that is said."""
        wanted = {"class": label, "issue": issue, "offset": offset, "limit": limit}
        params = {name: value for name, value in wanted.items() if value is not None}
        return cast(ImagePage, self._json("GET", f"/api/cv/datasets/{segment(dataset_id)}/images", params=params))

    def insights(self, dataset_id: str) -> InsightsAnswer:
        """What the newest version of a dataset looks like, and what may be wrong with it."""
        return cast(InsightsAnswer, self._json("GET", f"/api/cv/datasets/{segment(dataset_id)}/insights"))

    def start_check(self, dataset_id: str) -> JobAnswer:
        """Have the newest version looked through again."""
        return cast(JobAnswer, self._json("POST", f"/api/cv/datasets/{segment(dataset_id)}/check"))

    def change_dataset(self, dataset_id: str, corrections: CorrectionsBody) -> DatasetAnswer:
        """Exclude, restore and relabel images; returns the new version."""
        path = f"/api/cv/datasets/{segment(dataset_id)}/changes"
        return cast(DatasetAnswer, self._json("POST", path, json=corrections))

    def add_images(self, dataset_id: str, file: BinaryIO, filename: str) -> DatasetAnswer:
        """Send a ZIP of further pictures; returns the new version."""
        files = {"file": (filename, file, "application/zip")}
        return cast(DatasetAnswer, self._json("POST", f"/api/cv/datasets/{segment(dataset_id)}/images", files=files))

    def difference(self, dataset_id: str, earlier: int, later: int) -> DifferenceAnswer:
        """What a later version has that an earlier one has not."""
        path = f"/api/cv/datasets/{segment(dataset_id)}/diff"
        return cast(DifferenceAnswer, self._json("GET", path, params={"from": earlier, "to": later}))

    def delete_dataset(self, dataset_id: str) -> None:
        self._send("DELETE", f"/api/cv/datasets/{segment(dataset_id)}")

    def dataset_image(self, dataset_id: str, image_id: str, *, size: int) -> bytes:
        path = f"/api/cv/datasets/{segment(dataset_id)}/images/{segment(image_id)}"
        return self._send("GET", path, params={"size": size}).content

    def image_at(self, address: str) -> bytes:
        """Fetch an image by an address that an answer named; only addresses within the API are followed."""
        if not address.startswith("/api/"):
            raise ApiError(say(self.language, "client.foreign_address", address=address))
        return self._send("GET", address).content

    # --- training
    def start_training(self, recipe: dict[str, Any]) -> JobAnswer:
        return cast(JobAnswer, self._json("POST", "/api/cv/train/start", json=recipe))

    def jobs(self) -> list[JobAnswer]:
        return cast(list[JobAnswer], self._json("GET", "/api/cv/jobs"))

    def job(self, job_id: str) -> JobAnswer:
        return cast(JobAnswer, self._json("GET", f"/api/cv/jobs/{segment(job_id)}"))

    def job_events(self, job_id: str, *, after: str | None = None) -> Iterator[JobEvent | None]:
        """What happens to a job, as it happens, until it has ended; None where the service only says that it is there.

        Begins with how the job stands, or after the event of that id. Blocks between events.
        """
        path = f"/api/cv/jobs/{segment(job_id)}/events"
        headers = {"Last-Event-ID": after} if after else {}
        with (
            self._caught(),
            self._http.stream(
                "GET", path, params={"newest": "true"}, headers=headers, timeout=STREAM_TIMEOUT
            ) as response,
        ):
            if not response.is_success:
                response.read()
                raise self._refusal(response)
            yield from _events(response.iter_lines())

    def cancel_job(self, job_id: str) -> JobAnswer:
        return cast(JobAnswer, self._json("POST", f"/api/cv/jobs/{segment(job_id)}/cancel"))

    def results(self, dataset_id: str) -> ResultsAnswer:
        """Results of the dataset's newest finished job."""
        return cast(ResultsAnswer, self._json("GET", f"/api/cv/results/{segment(dataset_id)}"))

    def job_results(self, job_id: str) -> ResultsAnswer:
        return cast(ResultsAnswer, self._json("GET", f"/api/cv/jobs/{segment(job_id)}/results"))

    def test_predictions(
        self, job_id: str, *, label: str, predicted: str, offset: int = 0, limit: int = 100
    ) -> AnswerPage:
        """The test images in one cell of the confusion matrix, the most confident answer first."""
        params = {"label": label, "predicted": predicted, "offset": offset, "limit": limit}
        path = f"/api/cv/jobs/{segment(job_id)}/test-predictions"
        return cast(AnswerPage, self._json("GET", path, params=params))

    def label_predictions(
        self, job_id: str, *, label: str, verdict: str, offset: int = 0, limit: int = 100
    ) -> AnswerPage:
        """The test images on which a label was `found`, `missed` or a `false_alarm`."""
        params = {"label": label, "verdict": verdict, "offset": offset, "limit": limit}
        path = f"/api/cv/jobs/{segment(job_id)}/test-predictions"
        return cast(AnswerPage, self._json("GET", path, params=params))

    # --- models and predictions; `model` is a model's or a dataset's id
    def models(self) -> list[ModelAnswer]:
        return cast(list[ModelAnswer], self._json("GET", "/api/cv/models"))

    def thresholds(self, model_id: str, asked: ThresholdQuery | None = None) -> ThresholdAnswer:
        """What a model of several labels finds and misses on its test images, at its own thresholds or at others."""
        path = f"/api/cv/models/{segment(model_id)}/thresholds"
        return cast(ThresholdAnswer, self._json("GET", path, params=dict(asked or {})))

    def comparison(self, model_id: str, champion: str | None = None) -> ComparisonAnswer:
        """A model against the one that it would replace, where that has been computed."""
        path = f"/api/cv/models/{segment(model_id)}/compare"
        return cast(ComparisonAnswer, self._json("GET", path, params={"with": champion} if champion else {}))

    def start_comparison(self, model_id: str, champion: str | None = None) -> JobAnswer:
        path = f"/api/cv/models/{segment(model_id)}/compare"
        return cast(JobAnswer, self._json("POST", path, params={"with": champion} if champion else {}))

    def promote(self, model_id: str) -> None:
        self._send("POST", f"/api/cv/models/{segment(model_id)}/promote")

    # --- the registry
    def registered_models(self, *, dataset_id: str | None) -> list[RegisteredAnswer]:
        """Models with their states, newest first; of one dataset, or of all."""
        params = {} if dataset_id is None else {"dataset_id": dataset_id}
        return cast(list[RegisteredAnswer], self._json("GET", "/api/cv/models", params=params))

    def model_card(self, model_id: str) -> CardAnswer:
        return cast(CardAnswer, self._json("GET", f"/api/cv/models/{segment(model_id)}"))

    def change_model(self, model_id: str, verb: str) -> RegisteredAnswer:
        """`promote`, `rollback`, `archive` or `restore`; returns the model that this concerns, after a rollback the
        one that answers again.
        """
        return cast(RegisteredAnswer, self._json("POST", f"/api/cv/models/{segment(model_id)}/{segment(verb)}"))

    def delete_model(self, model_id: str) -> None:
        self._send("DELETE", f"/api/cv/models/{segment(model_id)}")

    def promotions(self, model_id: str) -> list[PromotionAnswer]:
        """Which models have answered for a model's dataset, newest first."""
        return cast(list[PromotionAnswer], self._json("GET", f"/api/cv/models/{segment(model_id)}/history"))

    def drift(self, model_id: str) -> DriftAnswer:
        return cast(DriftAnswer, self._json("GET", f"/api/cv/models/{segment(model_id)}/drift"))

    def audit(self, *, limit: int, subject: str | None) -> AuditAnswer:
        """The newest entries of the audit log; with `subject`, those about one dataset, job or model."""
        wanted = {"limit": limit, "subject": subject}
        params = {name: value for name, value in wanted.items() if value is not None}
        return cast(AuditAnswer, self._json("GET", "/api/audit", params=params))

    def exports(self, model: str) -> list[dict[str, Any]]:
        """The formats of a model, and how well its ONNX file agrees with it."""
        return cast(list[dict[str, Any]], self._json("GET", f"/api/cv/models/{segment(model)}/exports"))

    def download(self, model: str, file_format: str) -> bytes:
        path = f"/api/cv/models/{segment(model)}/download"
        return self._send("GET", path, params={"format": file_format}).content

    def predict(
        self, model: str, image: bytes, *, top_k: int, explain: bool, asked: ThresholdQuery | None = None
    ) -> PredictionAnswer:
        params = {"top_k": top_k, "explain": "true" if explain else "false", **(asked or {})}
        files = {"file": ("image", image, "application/octet-stream")}
        answer = self._json("POST", f"/api/cv/predict/{segment(model)}", params=params, files=files)
        return cast(PredictionAnswer, answer)

    def start_batch(
        self, model: str, file: BinaryIO, filename: str, *, top_k: int, asked: ThresholdQuery | None = None
    ) -> JobAnswer:
        """Send a ZIP of pictures to be answered; returns the job."""
        files = {"file": (filename, file, "application/zip")}
        path = f"/api/cv/predict/{segment(model)}/batch"
        return cast(JobAnswer, self._json("POST", path, params={"top_k": top_k, **(asked or {})}, files=files))

    def table(self, job_id: str, file_format: str) -> bytes:
        """What a batch has answered, whole: csv or json."""
        return self._send("GET", f"/api/cv/jobs/{segment(job_id)}/download", params={"format": file_format}).content

    def table_head(self, job_id: str, lines: int) -> list[str]:
        """The first lines of a batch's CSV; the rest is not fetched."""
        path = f"/api/cv/jobs/{segment(job_id)}/download"
        with self._caught(), self._http.stream("GET", path, params={"format": "csv"}) as response:
            if not response.is_success:
                response.read()
                raise self._refusal(response)
            return list(islice(response.iter_lines(), lines))

    def explain(self, model: str, image: bytes, *, class_name: str) -> ExplanationAnswer:
        """The heat map over the image for one class, and whether it marks what the answer rests on."""
        files = {"file": ("image", image, "application/octet-stream")}
        params = {"class_name": class_name, "format": "json"}
        answer = self._json("POST", f"/api/cv/explain/{segment(model)}", params=params, files=files)
        return cast(ExplanationAnswer, answer)

    # --- the wire
    def _json(self, method: str, path: str, **request: Any) -> Any:
        response = self._send(method, path, **request)
        try:
            return response.json()
        except ValueError as error:
            raise ApiError(
                say(self.language, "client.not_the_api", address=self.base_url), status=response.status_code
            ) from error

    def _bytes(self, method: str, path: str, **request: Any) -> bytes:
        return self._send(method, path, **request).content

    def _send(self, method: str, path: str, **request: Any) -> httpx2.Response:
        with self._caught():
            response = self._http.request(method, path, **request)
        if response.is_success:
            return response
        raise self._refusal(response)

    @contextmanager
    def _caught(self) -> Iterator[None]:
        """Turn whatever goes wrong on the wire into an `ApiError`."""
        try:
            yield
        except httpx2.TimeoutException as error:
            raise ApiError(say(self.language, "client.timeout", address=self.base_url)) from error
        except (httpx2.RequestError, httpx2.StreamError) as error:
            raise ApiError(say(self.language, "client.away", address=self.base_url)) from error

    def _refusal(self, response: httpx2.Response) -> ApiError:
        """Turn a problem+json answer into an `ApiError`; anything else is named by its status."""
        try:
            problem = response.json()
        except ValueError:
            problem = None
        if isinstance(problem, dict) and isinstance(problem.get("detail"), str):
            return ApiError(problem["detail"], title=str(problem.get("title", "")), status=response.status_code)
        request = f"{response.request.method} {response.request.url.path}"
        words = say(self.language, "client.unexplained", request=request, status=str(response.status_code))
        return ApiError(words, status=response.status_code)


def connect(language: str = FALLBACK) -> Client:
    """A client for the address and key that the environment names."""
    url = os.environ.get("SIGHTGLASS_API_URL") or DEFAULT_URL
    return Client(url, api_key=os.environ.get("SIGHTGLASS_API_KEY") or None, language=language)


def _events(lines: Iterator[str]) -> Iterator[JobEvent | None]:
    """Server-Sent Events from their lines: https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            yield None
        elif line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        else:
            if "data" in fields:
                yield JobEvent(event_id=fields.get("id"), job=json.loads(fields["data"]))
            fields = {}

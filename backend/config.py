"""Settings: the only reader of the environment. Refuses to start on a bad value, naming it.

Every field is the variable `SIGHTGLASS_<FIELD>`. Nothing else in the code base reads `os.environ` for a choice.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def available_cores() -> int:
    """Cores this process may use: the affinity mask where the system has one, else all of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Rate:
    """So many requests in any so many seconds."""

    requests: int
    seconds: int


_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_RATE = re.compile(r"(\d{1,9}) ?(?:/|per) ?(\d{1,4})? ?(second|minute|hour|day)s?", re.IGNORECASE)
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::\d{1,5})?", re.IGNORECASE)


ServingBackend = Literal[
    "auto", "torch", "torch-bf16", "torch-compile", "onnxruntime", "openvino", "openvino-mixed", "openvino-bf16"
]


class Settings(BaseSettings):
    """All that a deployment may choose."""

    model_config = SettingsConfigDict(env_prefix="SIGHTGLASS_", frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = Field("127.0.0.1", description="Address the API listens on; anything but loopback needs API keys.")
    port: int = Field(8000, ge=1, le=65535, description="Port of the API.")
    data_dir: Path = Field(Path("data"), description="Folder for datasets, models, caches and the SQLite databases.")
    database_url: str | None = Field(
        None,
        repr=False,  # may hold a password
        description="Address of the database, such as postgresql://user:password@host/name; SQLite in the data folder "
        "by default.",
    )
    storage_url: str | None = Field(
        None,
        repr=False,
        description="Object storage for datasets and models, such as s3://bucket/folder; the data folder is then a "
        "working copy. None by default: the data folder alone.",
    )
    weights_dir: Path | None = Field(
        None, description="Folder with weights files named <timm_name>.safetensors, .pth or .pt; asked before any hub."
    )
    offline: bool = Field(False, description="1: never touch the network.")
    hub_timeout_s: float = Field(3.0, gt=0, le=60, description="Longest wait, in seconds, for a sign of life of a hub.")
    api_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        repr=False,
        description="Comma-separated keys, each alone or as name:key. Unset: no key is asked for and only loopback is "
        "served.",
    )
    rate_limit: Annotated[tuple[Rate, ...], NoDecode] = Field(
        (),
        description="Requests that one key may make, or one address where no keys are set, such as 600/minute or "
        "20/second,5000/hour. Unset: any number.",
    )
    rate_limit_predict: Annotated[tuple[Rate, ...], NoDecode] = Field(
        (),
        description="The same for predictions and heat maps, which have a budget of their own. Unset: as large.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated origins whose pages may call the API from a browser, such as "
        "https://lab.example. Unset: none.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated names under which the API is asked, beside its addresses and localhost. Unset: "
        "with keys any, without none.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Comma-separated addresses or networks of proxies whose X-Forwarded-For and -Proto are believed. "
        "Unset: none.",
    )
    api_url: str | None = Field(
        None, description="Service that the browser half and the command line talk to; http://127.0.0.1:8000."
    )
    api_key: str | None = Field(None, description="The key that they send, where the service asks for one.")
    max_upload_mb: int = Field(2048, ge=1, description="Largest upload, in MiB.")
    max_table_mb: int = Field(
        256, ge=1, description="Largest table (CSV or Parquet), in MiB; reading one takes up to ten times its size."
    )
    max_image_pixels: int = Field(100_000_000, ge=1, description="Largest image, in pixels (width x height).")
    max_archive_files: int = Field(500_000, ge=1, description="Most members that an archive may hold.")
    max_unpacked_ratio: int = Field(
        200, ge=1, description="An archive that unpacks to more than this many times its size is refused as a bomb."
    )
    upload_expire_h: float = Field(
        24.0, gt=0, le=8760, description="Hours after which a resumable upload that gets no more bytes is removed."
    )
    import_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        (),
        description="Comma-separated folders on the server whose contents may be imported by path. Unset: none; only "
        "uploads are taken.",
    )
    import_processes: int = Field(
        default_factory=available_cores,
        ge=1,
        description="Processes that read the images of a large import; 1: none beside the service's own.",
    )
    torch_threads: int = Field(default_factory=available_cores, ge=1, description="Threads for arithmetic.")
    mlflow_tracking_uri: str | None = Field(
        None, description="MLflow server or store; SQLite in the data folder by default; 'off' writes none."
    )
    concurrent_jobs: int = Field(
        1, ge=1, le=1000, description="Trainings that run at once, on all machines of this database together."
    )
    min_free_memory_mb: int = Field(
        512, ge=0, description="A job waits while less memory than this is free, in MiB; 0: it never waits."
    )
    stuck_after_s: float = Field(
        900.0, ge=5, description="A job that gives no sign of life for so many seconds is ended and started again."
    )
    job_attempts: int = Field(3, ge=1, description="How often a job that loses its worker is started at most.")
    executor: Literal["local", "ray"] = Field(
        "local", description="Who computes: local, a process on this machine; ray, the machines of a Ray cluster."
    )
    ray_address: str | None = Field(
        None, description="host:port of a Ray cluster's head, or auto; unset: a Ray of its own on this machine."
    )
    ray_cpus_per_trial: float | None = Field(
        None, gt=0, description="Cores that one candidate takes of its Ray node; unset: as many as threads."
    )
    ray_gpus_per_trial: float = Field(0.0, ge=0, description="GPUs that one candidate takes of its Ray node.")
    ray_attempts: int = Field(3, ge=1, description="How often a candidate whose Ray node dies is started at most.")
    ray_scratch_dir: Path | None = Field(
        None, description="Folder on each Ray node for what can be computed again; unset: in its temporary folder."
    )
    serving_queue: int = Field(
        256, ge=1, le=100_000, description="Pictures that may wait for their prediction; more are told to come again."
    )
    serving_max_wait_s: float = Field(
        10.0, gt=0, description="Longest wait, in seconds, that a picture is let in for, at the speed seen last."
    )
    serving_backend: ServingBackend = Field(
        "auto",
        description="What predictions are computed by: auto (the fastest that agrees, measured here), torch, "
        "torch-bf16, torch-compile, onnxruntime, openvino, openvino-mixed or openvino-bf16.",
    )
    model_cache_mb: int = Field(2048, ge=64, description="Memory for loaded models, in MiB.")
    cache_mb: int = Field(
        20_480,
        ge=64,
        description="Disk space for what can be computed again (decoded images, features, converted networks), in "
        "MiB. The least recently used goes first.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["text", "json"] = Field("text", description="How log lines look: text or json.")

    @field_validator("api_keys", "import_roots", "cors_origins", "allowed_hosts", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return _parts(value) if isinstance(value, str) else value

    @field_validator("rate_limit", "rate_limit_predict", mode="before")
    @classmethod
    def _read_rates(cls, value: Any) -> Any:
        return tuple(map(_rate, _parts(value))) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if _ORIGIN.fullmatch(origin) is None:
                raise ValueError(
                    f"'{origin}' is no origin: name each as https://host or http://host:port, without a path. "
                    "'*' is not possible: any page could then use the service."
                )
        return tuple(origin.lower() for origin in origins)

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            ipaddress.ip_network(proxy, strict=False)  # its ValueError names the value
        return proxies

    @property
    def resolved_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'sightglass.db'}"

    @property
    def resolved_mlflow_uri(self) -> str | None:
        """The MLflow store, or None where tracking is off."""
        if self.mlflow_tracking_uri == "off":
            return None
        return self.mlflow_tracking_uri or f"sqlite:///{self.data_dir.resolve() / 'mlflow.db'}"

    @property
    def resolved_ray_cpus(self) -> float:
        """Cores that one candidate takes of a node."""
        return self.ray_cpus_per_trial or float(self.torch_threads)

    @property
    def datasets_dir(self) -> Path:
        return self.data_dir / "datasets"

    @property
    def uploads_dir(self) -> Path:
        return self.data_dir / "uploads"

    @property
    def models_dir(self) -> Path:
        return self.data_dir / "models"

    @property
    def jobs_dir(self) -> Path:
        return self.data_dir / "jobs"

    @property
    def predictions_dir(self) -> Path:
        return self.data_dir / "predictions"

    @property
    def cache_dir(self) -> Path:
        return self.data_dir / "cache"


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _rate(text: str) -> Rate:
    match = _RATE.fullmatch(text)
    if match is None or int(match[1]) < 1 or match[2] == "0":
        raise ValueError(f"'{text}' is no rate: write it as 120/minute, 5/second or 1000 per 2 hours.")
    return Rate(requests=int(match[1]), seconds=int(match[2] or 1) * _SECONDS[match[3].lower()])

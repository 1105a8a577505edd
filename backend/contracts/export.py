"""Records of a model's files to take home: what there is, and how well a converted network agrees with it."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from backend.contracts.base import Record, utc_now
from backend.contracts.dataset import Task


class ParityReport(Record):
    """A converted model against the one that is served, on the same pictures. Probabilities are 0..1."""

    images: int = Field(description="Pictures that both answered.")
    from_dataset: int = Field(description="Of these, pictures of the dataset, those of the test first.")
    generated: int = Field(0, description="Of these, drawn by chance, because too few of the dataset were there.")
    task: Task = "multiclass"
    agreement: float = Field(
        description="Share of pictures with the same likeliest class; multi-label: share of all labels of all pictures "
        "with the same decision."
    )
    required: float = Field(description="Below this agreement no file is made.")
    max_difference: float = Field(description="Largest difference of any probability.")
    mean_difference: float = Field(description="Mean difference of all probabilities.")
    opset: int
    onnxruntime: str
    torch: str
    checked_at: datetime = Field(default_factory=utc_now)

    def in_words(self) -> str:
        what = "of all labels' decisions" if self.task == "multilabel" else "of all first answers"
        drawn = f", {self.generated} of them drawn by chance" if self.generated else ""
        return (
            f"On {self.images} pictures{drawn} it gave {self.agreement:.1%} {what} alike; "
            f"no probability differed by more than {self.max_difference:.2g}."
        )


class ModelExport(Record):
    """One format that a model can be downloaded in. `ready`: it lies there; else the download makes it first."""

    format: str
    filename: str
    media_type: str
    ready: bool
    size_bytes: int | None = None
    made_at: datetime | None = None
    report: ParityReport | None = Field(None, description="Of ONNX, once it was made.")

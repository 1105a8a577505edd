"""What crosses between the API's process and the one that predicts: a picture in, a finished answer out.

Named tuples and not pydantic records: some hundreds a second cross, nobody outside sends them, and a tuple is packed in
a tenth of the time.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Ask(NamedTuple):
    """One picture for one model. `top_k` None asks for every class's probability, as `POST /predict` gives them."""

    model_folder: str
    image: bytes
    top_k: int | None = 3
    request_id: str = ""


class Answer(NamedTuple):
    """A finished answer: JSON as it is sent, and what is counted of it. `labels`: the likeliest, or those present."""

    body: bytes
    labels: tuple[str, ...]
    confidence: float
    unfamiliar: bool


class BatchNote(NamedTuple):
    """What one forward pass was: its pictures, how long it took, how long each had waited before it, in seconds."""

    size: int
    seconds: float
    waited: tuple[float, ...]


class ServingState(NamedTuple):
    """What the predicting process holds: models read and dropped since its start, and what each loaded one runs on."""

    loads: int
    evictions: int
    # model id -> backend, and how it was chosen; see `inference.backends`
    backends: dict[str, dict[str, Any]]


NOTHING_LOADED = ServingState(loads=0, evictions=0, backends={})

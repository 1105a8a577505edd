"""The shapes of the API's JSON answers, as far as the screens read them: types only, nothing is checked at run time.
`NotRequired` marks what api.md leaves open; more fields may come at any time and are ignored.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from frontend.label_answers import LabelConfusion
from frontend.training_answers import EpochRecord, ExperimentAnswer, FeatureUseAnswer
from frontend.version_answers import VersionAnswer

JobState = Literal["queued", "running", "succeeded", "failed", "cancelled"]

# The kind of a job that looks through a dataset: it has no results to open.
IMPORT_KIND, TRAIN_KIND = "import_dataset", "train_images"
IMPORT_TABLE_KIND = "import_table"


class SkippedFile(TypedDict):
    file: str
    reason: str


class DatasetAnswer(TypedDict):
    """One dataset. `samples` maps a class to the addresses of a few of its images."""

    dataset_id: str
    name: str
    version: int
    task: str
    total_images: int
    num_classes: int
    class_counts: dict[str, int]
    skipped: list[SkippedFile]
    warnings: list[str]
    created_at: NotRequired[str]
    samples: NotRequired[dict[str, list[str]]]
    excluded_images: NotRequired[int]
    versions: NotRequired[list[VersionAnswer]]


class CandidateAnswer(TypedDict):
    """A network of the registry; `weights_source` is None where it would start from nothing."""

    name: str
    family: str
    timm_name: str
    parameters: int | None
    input_size: int
    weights: str
    weights_source: str | None
    default: bool
    description: NotRequired[str]


class Augmentation(TypedDict):
    name: str
    description: str
    default: bool


class Preset(TypedDict):
    """An intent: `refined` networks train further for `epochs`. `recipe`: what it sets; `models`: its own networks."""

    name: str
    title: str
    description: str
    time_budget_s: float
    refined: int
    epochs: int
    tuning_trials: int
    ensemble: bool
    recipe: NotRequired[dict[str, Any]]
    models: NotRequired[list[str] | None]


class OverrideKey(TypedDict):
    """An expert setting."""

    name: str
    description: str
    default: Any


class OptionsAnswer(TypedDict):
    """What may be chosen for a run; `recipe_schema` is the JSON schema of `train/start`'s body."""

    augmentations: list[Augmentation]
    presets: list[Preset]
    limits: dict[str, int]
    import_roots: NotRequired[list[str]]
    recipe_schema: dict[str, Any]
    override_keys: NotRequired[list[OverrideKey]]


class CandidateProgress(TypedDict):
    name: str
    state: str
    stage: str
    epoch: int
    epochs: int
    score: float | None
    reason: NotRequired[str | None]
    tried: NotRequired[str | None]
    seconds: NotRequired[float | None]


class JobAnswer(TypedDict):
    """One job. `progress` is 0..1, `eta_s` seconds or None."""

    job_id: str
    kind: str
    dataset_id: str | None
    state: JobState
    progress: float
    stage: str
    message: str
    candidates: list[CandidateProgress]
    created_at: str
    started_at: str | None
    ended_at: str | None
    eta_s: NotRequired[float | None]
    error: NotRequired[str | None]
    queue_position: NotRequired[int | None]
    cancel_requested: NotRequired[bool]
    recipe: NotRequired[dict[str, Any]]


class EnsembleMember(TypedDict):
    """One network of an ensemble; the weights of all add up to 1."""

    name: str
    weight: float


class BestModel(TypedDict):
    name: str
    accuracy: float
    macro_f1: float
    strategy: NotRequired[str]
    weights: NotRequired[str]
    weights_source: NotRequired[str | None]
    members: NotRequired[list[EnsembleMember]]


class LeaderboardRow(TypedDict):
    """One candidate; scores are None for skipped and failed ones. `tie`: the data cannot tell it from the best."""

    rank: int | None
    name: str
    weights: str | None
    weights_source: NotRequired[str | None]
    strategy: str
    status: str
    reason: NotRequired[str | None]
    tried: NotRequired[str | None]
    train_images: NotRequired[int | None]
    tie: NotRequired[bool]
    accuracy: float | None
    accuracy_ci95: NotRequired[list[float] | None]
    macro_f1: float | None
    val_accuracy: float | None
    val_macro_f1: NotRequired[float | None]
    mean_average_precision: NotRequired[float | None]
    val_mean_average_precision: NotRequired[float | None]
    train_seconds: float | None
    predict_ms_per_image: float | None
    parameters: int | None
    size_mb: float | None


class TestScores(TypedDict):
    accuracy: float
    accuracy_ci95: list[float]
    macro_f1: float
    log_loss: float
    expected_calibration_error: float
    mean_average_precision: NotRequired[float | None]
    hamming_loss: NotRequired[float | None]
    micro_f1: NotRequired[float | None]


class ConfusionMatrix(TypedDict):
    """Rows are the truth, columns the answer."""

    labels: list[str]
    matrix: list[list[int]]


class ClassScore(TypedDict):
    label: str
    precision: float
    recall: float
    f1: float
    support: int
    threshold: NotRequired[float | None]
    average_precision: NotRequired[float | None]


class SplitSizes(TypedDict):
    train: int
    val: int
    test: int
    seed: int
    strategy: str


class SuspectLabel(TypedDict):
    """An image whose label its own prediction contradicts; `confidence` is that of `suggested`."""

    image_id: str
    label: str
    suggested: str
    confidence: float
    file: NotRequired[str]
    doubted: NotRequired[str | None]
    labels: NotRequired[list[str] | None]
    kind: NotRequired[str | None]
    suggested_labels: NotRequired[list[str] | None]


class LearningCurvePoint(TypedDict):
    train_images: int
    accuracy: float
    accuracy_ci95: list[float]
    macro_f1: float
    mean_average_precision: NotRequired[float | None]
    noise: NotRequired[float | None]


class Calibration(TypedDict):
    """How sure the winner was and is, on images that it did not learn from. Losses in nats, ECE in 0..1."""

    temperature: float
    images: int
    log_loss_before: float
    log_loss_after: float
    ece_before: float
    ece_after: float


class ClassImbalance(TypedDict):
    """`ratio`: images of the largest class by those of the smallest; `automatic`: nobody asked for what followed."""

    ratio: float
    balanced: bool
    ranked_by: str
    automatic: bool


class LeakedScoreAnswer(TypedDict):
    """A score with and without test images that have a copy among those learned from."""

    test_images: int
    leaked: int
    accuracy: float | None
    accuracy_without: float | None


class LeakAnswer(TypedDict):
    """What copies do to the score."""

    images: int
    groups: int
    own: LeakedScoreAnswer | None
    by_chance: LeakedScoreAnswer | None


class ResultsAnswer(TypedDict):
    """All that a finished training job has to say."""

    job_id: str
    dataset_id: str
    dataset_version: NotRequired[int]
    task: NotRequired[str]
    model_id: str
    best_model: BestModel
    leaderboard: list[LeaderboardRow]
    test: TestScores
    confusion_matrix: ConfusionMatrix | None
    label_confusion: NotRequired[list[LabelConfusion]]
    per_class: list[ClassScore]
    history: dict[str, list[EpochRecord]]
    split: SplitSizes
    environment: dict[str, Any]
    leak: NotRequired[LeakAnswer | None]
    suspect_labels: NotRequired[list[SuspectLabel]]
    learning_curve: NotRequired[list[LearningCurvePoint]]
    learning_curve_advice: NotRequired[str | None]
    calibration: NotRequired[Calibration | None]
    imbalance: NotRequired[ClassImbalance | None]
    preprocessing: NotRequired[dict[str, Any]]
    notes: NotRequired[list[str]]
    tracking: NotRequired[dict[str, Any]]
    recipe: NotRequired[dict[str, Any]]
    experiment: NotRequired[ExperimentAnswer | None]
    features: NotRequired[FeatureUseAnswer | None]
    total_seconds: NotRequired[float]


class TestAnswer(TypedDict):
    """One test image: the truth and what the best model took it for."""

    image_id: str
    url: str
    label: str
    predicted: str
    confidence: float
    labels: NotRequired[list[str] | None]
    predicted_labels: NotRequired[list[str] | None]
    confidences: NotRequired[list[float] | None]


class AnswerPage(TypedDict):
    total: int
    offset: int
    limit: int
    images: list[TestAnswer]


class ModelAnswer(TypedDict):
    """A saved model."""

    model_id: str
    dataset_id: str
    name: str
    accuracy: float
    class_names: list[str]
    task: NotRequired[str]
    created_at: str
    job_id: NotRequired[str | None]
    promoted: NotRequired[bool]
    state: NotRequired[str]
    members: NotRequired[list[EnsembleMember]]


class LabelConfidence(TypedDict):
    """`present` is told where an image may have several labels."""

    label: str
    confidence: float
    present: NotRequired[bool]


class SimilarImage(TypedDict):
    image_id: str
    label: str
    similarity: float


class ReliabilityBand(TypedDict):
    """The test images answered with a confidence from `low` up to `high`, and the right answers among them."""

    low: float
    high: float
    images: int
    right: int


class HeatmapEvidence(TypedDict):
    """Shares of a label's probability that are lost: without what its heat map marks, without as much elsewhere."""

    label: str
    score: float
    random: float
    verdict: str


class ExplanationAnswer(TypedDict):
    """A heat map over the image for one class; `heatmap_png` is base64."""

    label: str
    heatmap_png: str
    heatmap: HeatmapEvidence


class PredictionAnswer(TypedDict):
    """The answer for one image; `heatmap_png` is base64."""

    predictions: list[LabelConfidence]
    model: dict[str, Any]
    unfamiliar: bool
    unfamiliarity: float
    latency_ms: float
    heatmap_png: NotRequired[str | None]
    heatmap: NotRequired[HeatmapEvidence | None]
    similar: NotRequired[list[SimilarImage]]


class HealthAnswer(TypedDict):
    status: str
    version: str
    device: str
    torch_threads: int
    jobs: dict[str, int]
    default_model: str | None

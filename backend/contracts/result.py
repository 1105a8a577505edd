"""Records of a comparison: what was tried, how well it did, and which model won. Field names are the HTTP contract."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from backend.contracts.base import Id, Record
from backend.contracts.dataset import Preprocessing, Task
from backend.contracts.experiment import Experiment
from backend.contracts.recipe import RankBy

WeightsKind = Literal["imagenet", "scratch"]
WeightsSource = Literal["folder", "cache", "bundled", "hub"]
TrialStatus = Literal["ok", "skipped", "failed"]
TrialStrategy = Literal["probe", "finetune", "ensemble", "baseline"]


class Candidate(Record):
    """A network as the registry offers it, with where its weights would come from."""

    name: str
    family: str
    timm_name: str
    parameters: int | None = Field(None, description="Number of weights with an ImageNet head; None where unknown.")
    input_size: int = Field(224, description="Pixels a side.")
    weights: WeightsKind = "scratch"
    weights_source: WeightsSource | None = None
    default: bool = False
    description: str = ""


class EpochRecord(Record):
    """One epoch of one candidate. Losses are mean cross-entropy in nats, of multi-label ones the mean over labels.

    `val_accuracy` of a multi-label run is the share of images of which every label is right.
    """

    epoch: int
    train_loss: float | None
    val_loss: float | None
    val_accuracy: float | None
    val_macro_f1: float | None = Field(None, description="Where it chooses the epoch: with several labels, always.")


class ClassScore(Record):
    """One class on the test images. `support` is how many of them carry it.

    Of a label of a multi-label model also the threshold from which on it counts as present, and the average precision,
    which no threshold changes; None where no test image carries it.
    """

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    threshold: float | None = None
    average_precision: float | None = None


class LabelConfusion(Record):
    """One label of a multi-label model on the test images: [[absent and said so, false alarms], [misses, finds]]."""

    label: str
    matrix: tuple[tuple[int, int], tuple[int, int]] = Field(description="[[tn, fp], [fn, tp]]")


class ConfusionMatrix(Record):
    """Rows are the truth, columns the prediction, both in the order of `labels`."""

    labels: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]


class TestScores(Record):
    """Scores on the held-out test images. Interval: Wilson score, 95% (Wilson 1927). ECE: 15 equal-width bins.

    Multi-label: `accuracy` is the subset accuracy, the share of images of which every label is right; log-loss and ECE
    are means over all labels of all images. The fields below the ECE are multi-label only.
    """

    __test__ = False

    accuracy: float
    accuracy_ci95: tuple[float, float]
    macro_f1: float
    log_loss: float
    expected_calibration_error: float
    subset_accuracy: float | None = Field(None, description="The same as accuracy, by its full name.")
    micro_f1: float | None = Field(None, description="F1 of all labels' decisions in one pot.")
    hamming_loss: float | None = Field(None, description="Share of all labels of all images that are wrong.")
    mean_average_precision: float | None = Field(None, description="Mean over labels; no threshold changes it.")


class TestPrediction(Record):
    """One test image: the truth, the best model's answer, and the probability that it gave its answer.

    Multi-label: `label` and `predicted` are all labels in one line, equal where every label is right, "" where there is
    none; `confidence` is that of the least sure label's decision; `confidences` are of all labels by `class_names`.
    """

    __test__ = False

    image_id: Id
    label: str
    predicted: str
    confidence: float
    labels: tuple[str, ...] | None = None
    predicted_labels: tuple[str, ...] | None = None
    confidences: tuple[float, ...] | None = None


class TestPredictions(Record):
    """The images behind a confusion matrix. `test_predictions.json` in the bundle: too long for a results record."""

    __test__ = False

    class_names: tuple[str, ...]
    images: tuple[TestPrediction, ...]
    task: Task = "multiclass"
    thresholds: tuple[float, ...] | None = Field(None, description="By class_names; multi-label only.")


class ReliabilityBand(Record):
    """The test images that were answered with a confidence from `low` up to `high`, and how many answers were right."""

    low: float
    high: float
    images: int
    right: int


class LeaderboardRow(Record):
    """One candidate. `accuracy` and `macro_f1` are on test, read once after the ranking by validation stood."""

    rank: int | None = Field(None, description="1 is best; None for skipped and failed rows.")
    name: str
    timm_name: str | None = None
    weights: WeightsKind | None = None
    weights_source: WeightsSource | None = None
    strategy: TrialStrategy
    status: TrialStatus
    reason: str | None = Field(None, description="Why it stopped where it did, was skipped, or failed.")
    tried: str | None = Field(None, description="What was tried, in words: features, head, epochs, folds.")
    train_images: int | None = Field(None, description="Images that its score rests on; fewer where it stopped early.")
    tie: bool = Field(False, description="Whether the data cannot tell it from the best row (McNemar, 95%).")
    accuracy: float | None = None
    accuracy_ci95: tuple[float, float] | None = None
    macro_f1: float | None = None
    val_accuracy: float | None = None
    val_macro_f1: float | None = None
    mean_average_precision: float | None = Field(None, description="Multi-label only, on test.")
    val_mean_average_precision: float | None = Field(None, description="Multi-label only, on validation.")
    train_seconds: float | None = None
    predict_ms_per_image: float | None = None
    parameters: int | None = None
    trainable_parameters: int | None = Field(None, description="Weights that a fine-tune moves; the others are frozen.")
    size_mb: float | None = None


class SuspectLabel(Record):
    """An image whose label is contradicted by a model without it. `confidence` is that of `suggested`.

    Multi-label: one label of the image is doubted, `doubted`, as missing or as superfluous; `label` and `suggested` are
    all labels in one line, as they are and as they would be; `labels` and `suggested_labels` have them one by one.
    `file` is its name in the archive, "" where that was not kept.
    """

    image_id: Id
    label: str
    suggested: str
    confidence: float
    file: str = ""
    doubted: str | None = None
    labels: tuple[str, ...] | None = None
    kind: Literal["missing", "superfluous"] | None = None
    suggested_labels: tuple[str, ...] | None = None


class LearningCurvePoint(Record):
    """Cross-validated scores of a head that learned from so many images."""

    train_images: int
    accuracy: float
    accuracy_ci95: tuple[float, float]
    macro_f1: float
    mean_average_precision: float | None = Field(None, description="Multi-label only.")
    noise: float | None = Field(None, description="Half the width of its 95% interval; multi-label only.")


class Calibration(Record):
    """Temperature scaling (Guo et al. 2017) of the winner, on held-out predictions. Losses in nats, ECE in 0..1.

    Multi-label: each label also gets an offset that is added to its score after the division (Platt 1999).
    """

    temperature: float
    offsets: tuple[float, ...] | None = Field(None, description="By class_names, in nats; multi-label only.")
    images: int
    log_loss_before: float
    log_loss_after: float
    ece_before: float
    ece_after: float


class ClassImbalance(Record):
    """How uneven the classes are, and what followed. `ratio`: largest by smallest class; `automatic`: nobody asked.

    Multi-label: what is rare is found by a threshold of its own for each label, not by weights in training.
    """

    ratio: float
    balanced: bool
    ranked_by: RankBy
    automatic: bool


class EnsembleMember(Record):
    """One network of an ensemble; weights of all members add up to 1."""

    name: str
    timm_name: str
    weight: float


class BestModel(Record):
    """The chosen row, and what its scores were."""

    name: str
    timm_name: str
    strategy: TrialStrategy
    weights: WeightsKind
    weights_source: WeightsSource | None
    accuracy: float
    macro_f1: float
    val_accuracy: float
    input_size: int
    predict_ms_per_image: float | None = None
    members: tuple[EnsembleMember, ...] = Field((), description="The networks of an ensemble; empty for a single one.")
    mean_average_precision: float | None = Field(None, description="Multi-label only.")


class FeatureUse(Record):
    """Features of images that networks asked for, and how many of them an earlier run had left: those cost nothing.

    Over several networks each image counts once for each of them.
    """

    images: int
    at_hand: int
    networks: int = 1


class SplitSizes(Record):
    train: int
    val: int
    test: int
    seed: int
    strategy: str
    grouped_by: str | None = Field(None, description="The rule by which images were kept together, if any.")
    label_counts: dict[str, tuple[int, int, int]] | None = Field(
        None, description="Images with each label in train, val and test; multi-label only."
    )


class LeakedScore(Record):
    """A score with and without the test images that have a copy among those learned from."""

    test_images: int
    leaked: int = Field(description="Test images with an equal or nearly equal one in training or validation.")
    accuracy: float | None = Field(None, description="On all of them; none where it was too dear to find out.")
    accuracy_without: float | None = Field(None, description="Without the leaked ones.")


class Leak(Record):
    """What copies are worth to the score. The run's own division keeps copies together."""

    images: int = Field(description="Images with an equal or nearly equal one in the dataset.")
    groups: int
    own: LeakedScore | None = Field(None, description="Where the upload's own folders put copies on both sides.")
    by_chance: LeakedScore | None = Field(
        None, description="A division that ignores copies, as many make it, with the best probe's head fitted anew."
    )


class Results(Record):
    """All that a finished training job has to say. The best model is chosen on validation; `test` is read once."""

    job_id: Id
    dataset_id: Id
    dataset_version: int = Field(1, description="The version that was trained on.")
    task: Task = "multiclass"
    model_id: Id
    best_model: BestModel
    leaderboard: tuple[LeaderboardRow, ...]
    test: TestScores
    confusion_matrix: ConfusionMatrix | None = Field(
        None, description="None where an image may have several labels: see label_confusion."
    )
    label_confusion: tuple[LabelConfusion, ...] = Field((), description="One for each label; multi-label only.")
    per_class: tuple[ClassScore, ...]
    history: dict[str, tuple[EpochRecord, ...]]
    split: SplitSizes
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    recipe: dict[str, Any]
    environment: dict[str, Any]
    notes: tuple[str, ...] = Field((), description="What a person should know: scratch weights, tracking down, ...")
    tracking: dict[str, Any] = Field(default_factory=dict, description="Where MLflow has the run, or why it has not.")
    suspect_labels: tuple[SuspectLabel, ...] = Field(
        (), description="Likeliest mistakes first, at most 500; test images too."
    )
    learning_curve: tuple[LearningCurvePoint, ...] = Field((), description="Would more pictures help?")
    learning_curve_advice: str | None = Field(None, description="The answer in one sentence.")
    calibration: Calibration | None = None
    imbalance: ClassImbalance | None = None
    leak: Leak | None = Field(None, description="The score with and without copies; none where there are no copies.")
    experiment: Experiment | None = Field(None, description="How the best network was trained; none in older runs.")
    features: FeatureUse | None = Field(
        None, description="What was reused of earlier runs; none in older runs, and where no network was frozen."
    )
    total_seconds: float


class ModelInfo(Record):
    """A saved model as the registry lists it; `model.json` in the bundle."""

    model_id: Id
    dataset_id: Id
    dataset_version: int = Field(1, description="The version that it was trained on.")
    job_id: Id | None = None
    name: str
    timm_name: str
    strategy: TrialStrategy
    weights: WeightsKind
    weights_source: WeightsSource | None = None
    class_names: tuple[str, ...]
    task: Task = "multiclass"
    thresholds: tuple[float, ...] | None = Field(
        None, description="By class_names: from which probability on a label is present; multi-label only."
    )
    preprocessing: Preprocessing
    accuracy: float
    macro_f1: float
    metrics: dict[str, Any]
    dataset_digest: str
    parameters: int
    size_mb: float
    versions: dict[str, str]
    created_at: str
    members: tuple[EnsembleMember, ...] = Field((), description="The networks of an ensemble; empty for a single one.")
    promoted: bool = False

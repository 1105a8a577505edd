"""The frozen records that cross rooms. Nothing here computes; nothing here imports a heavy library."""

from backend.contracts.base import ID_PATTERN, Id, Record, utc_now
from backend.contracts.dataset import Dataset, DatasetInfo, ImageItem, Preprocessing, ResizeMode, SkippedFile, Split
from backend.contracts.job import FINAL_STATES, Job, JobEvent, JobState
from backend.contracts.prediction import LabelConfidence, ModelRef, Prediction, SimilarImage
from backend.contracts.recipe import FinetuneSettings, ProbeSettings, Recipe, override_keys
from backend.contracts.result import (
    BestModel,
    Candidate,
    ClassScore,
    ConfusionMatrix,
    EpochRecord,
    LeaderboardRow,
    ModelInfo,
    Results,
    SplitSizes,
    TestScores,
    TrialStrategy,
    WeightsKind,
    WeightsSource,
)
from backend.contracts.run import CandidateProgress, Deadline, Progress, RunControl

__all__ = [
    "FINAL_STATES",
    "ID_PATTERN",
    "BestModel",
    "Candidate",
    "CandidateProgress",
    "ClassScore",
    "ConfusionMatrix",
    "Dataset",
    "DatasetInfo",
    "Deadline",
    "EpochRecord",
    "FinetuneSettings",
    "Id",
    "ImageItem",
    "Job",
    "JobEvent",
    "JobState",
    "LabelConfidence",
    "LeaderboardRow",
    "ModelInfo",
    "ModelRef",
    "Prediction",
    "Preprocessing",
    "ProbeSettings",
    "Progress",
    "Recipe",
    "Record",
    "ResizeMode",
    "Results",
    "RunControl",
    "SimilarImage",
    "SkippedFile",
    "Split",
    "SplitSizes",
    "TestScores",
    "TrialStrategy",
    "WeightsKind",
    "WeightsSource",
    "override_keys",
    "utc_now",
]

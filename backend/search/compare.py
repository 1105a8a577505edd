"""The comparison, top to bottom: divide, try networks, rank, look in, read the test once, save the winner.

It knows nothing of jobs, HTTP or SQL: a notebook calls `compare(open_dataset("pictures.zip"))`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from backend.config import Settings
from backend.contracts import Candidate, Dataset, Deadline, ModelInfo, Progress, Recipe, Results, RunControl
from backend.contracts.journal import Begun, Journal, NullJournal, decided
from backend.data.augmentation_catalogue import as_applied
from backend.data.manifest import restrict_classes
from backend.engine.arithmetic import set_threads
from backend.engine.environment import versions
from backend.engine.model_folder import CHECKPOINTS
from backend.errors import DatasetError
from backend.search.best_epochs import kept_of
from backend.search.budget import Budget
from backend.search.candidates import plan
from backend.search.contest import TRAINED, Contest
from backend.search.look_in import look_in
from backend.search.presets import time_budget
from backend.search.report import build_results, read_test
from backend.search.save import save_winner
from backend.search.study import Study, open_study
from backend.search.trial import Trial
from backend.storage.files import new_id
from backend.tracking import NullTracker, Tracker

CANCELLED = "The run was cancelled: these are the networks that had finished by then, and the best of them."
CANCELLED_TRACKING_S = 0.2  # a cancelled job is over within 5 s, and its results come first
LEAST_TRACKING_S = 2.0  # of waiting for MLflow's record even where the time budget is used up


@dataclass(frozen=True, kw_only=True)
class Run:
    """Who is asking, and where the model goes. `models_dir` is by default the one of the settings.

    With a `journal`, a run that was cut short goes on where it was when the same is asked for again. `checkpoints`:
    folder for the weights of each fine-tune's best epoch, one folder a network, where somebody wants them as files.
    """

    settings: Settings = field(default_factory=Settings)
    control: RunControl = field(default_factory=RunControl)
    tracker: Tracker = field(default_factory=NullTracker)
    journal: Journal = field(default_factory=NullJournal)
    job_id: str = field(default_factory=lambda: new_id("job"))
    model_id: str = field(default_factory=lambda: new_id("model"))
    models_dir: Path | None = None
    checkpoints: Path | None = None

    @property
    def folder(self) -> Path:
        return (self.models_dir or self.settings.models_dir) / self.model_id


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a run leaves: the results, the saved model's metadata and its folder."""

    results: Results
    model: ModelInfo
    folder: Path


def compare(dataset: Dataset, recipe: Recipe | None = None, *, run: Run | None = None) -> Comparison:
    """Compare networks on a dataset and save the best.

    The time budget, the recipe's or else its preset's, begins here, and takes the place of a deadline that
    `run.control` carried. What earlier attempts at the same run have used, by its journal, is taken off.

    Raises:
        RecipeError: an unknown network, class or override.
        DatasetError: too few images or classes, or no network could be trained at all.
        JobCancelled: through `run.control`, before any network had finished; later on cancelling ends the search, and
            what was found by then is the answer, with a note.
        ConflictError: another process is at work on the same run.
    """
    run = run or Run()
    recipe = recipe or Recipe(dataset_id=dataset.info.dataset_id)
    recipe.check_overrides()
    begun = run.journal.begin(_identity(dataset, recipe))
    try:
        return _compare(dataset, recipe, run=run, begun=begun)
    finally:
        run.journal.close()


def _compare(dataset: Dataset, recipe: Recipe, *, run: Run, begun: Begun) -> Comparison:
    started = time.perf_counter() - begun.used_s
    candidates = _planned(recipe, run)
    if recipe.classes:
        dataset = restrict_classes(dataset, recipe.classes)
    budget = time_budget(recipe)
    run.control.deadline = Deadline(None if budget is None else max(0.0, budget - begun.used_s))
    run.control.journal = run.journal
    set_threads(run.settings.torch_threads)
    run.control.report(Progress(stage="preparing", message="Dividing and decoding the images", progress=0.0))
    study = open_study(dataset, recipe, settings=run.settings, control=run.control)
    study = replace(study, checkpoints=run.checkpoints)
    tags = {"dataset": dataset.info.name}
    run.tracker.start(run_name=run.job_id, params=_parameters(study), tags=tags, resume=begun.attempt > 1)
    try:
        return _contest(study, candidates, run=run, started=started)
    except BaseException as error:
        run.tracker.abort(str(error) or type(error).__name__)
        raise


def _contest(study: Study, candidates: list[Candidate], *, run: Run, started: float) -> Comparison:
    budget = Budget(run.control.deadline, time_budget(study.recipe))
    contest = Contest(study, control=run.control, tracker=run.tracker, budget=budget)
    ranked = contest.run(candidates)
    winner = _winner(ranked)
    run.control.report(Progress(stage="evaluating", message="Looking into the best network", progress=TRAINED))
    look = look_in(study, ranked, winner, budget=budget)
    whole = winner.with_model()
    best = kept_of(study, whole)  # calibration writes into the network
    ready = look.calibrated(whole)
    ranked[ranked.index(winner)] = ready
    run.control.report(Progress(stage="evaluating", message="Reading the test images once"))
    reading = read_test(study, ranked, ready, places=contest.places)
    model = save_winner(run.folder, study, ready, reading=reading, ids=(run.model_id, run.job_id))
    if best is not None:
        best.write(run.folder / CHECKPOINTS)
    notes = [CANCELLED, *contest.notes] if run.control.ended_early else contest.notes
    results = build_results(study, reading, model=model, look=look, notes=notes)
    results = results.model_copy(update={"total_seconds": round(time.perf_counter() - started, 3)})
    results = _tracked(results, run)
    run.control.report(Progress(stage="done", message=f"Best: {model.name}", progress=1.0))
    return Comparison(results=results, model=model, folder=run.folder)


def _identity(dataset: Dataset, recipe: Recipe) -> dict[str, object]:
    """What a journal must have been written for, to be of use."""
    return {"recipe": recipe.model_dump(mode="json"), "dataset": dataset.info.digest, "versions": versions()}


def _planned(recipe: Recipe, run: Run) -> list[Candidate]:
    """The networks to try; where weights come from may have changed since an earlier attempt, so it is noted."""
    found = decided(
        run.journal, "plan", lambda: [candidate.model_dump(mode="json") for candidate in plan(recipe, run.settings)]
    )
    return [Candidate.model_validate(candidate) for candidate in found]


def _winner(ranked: list[Trial]) -> Trial:
    for trial in ranked:
        if trial.usable:
            return trial
    reasons = "; ".join(
        f"'{trial.candidate.name}' ({(trial.reason or '').rstrip('.')})" for trial in ranked if trial.status != "ok"
    )
    raise DatasetError(f"No network could be trained. {reasons}.")


def _tracked(results: Results, run: Run) -> Results:
    least_s = CANCELLED_TRACKING_S if run.control.ended_early else LEAST_TRACKING_S
    within_s = max(least_s, run.control.deadline.remaining())
    tracking = run.tracker.finish(results, [run.folder], within_s=within_s)
    notes = results.notes
    if tracking.get("status") == "failed":
        notes = (*notes, f"MLflow has no complete record of this run: {tracking.get('detail')}")
    return results.model_copy(update={"tracking": tracking, "notes": notes})


def _parameters(study: Study) -> dict[str, object]:
    info = study.dataset.info
    chosen = as_applied(study.recipe).model_dump(mode="json", exclude_none=True)
    return {**chosen, "images": info.total_images, "num_classes": info.num_classes, "dataset_digest": info.digest}

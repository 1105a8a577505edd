from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from backend.contracts import Candidate, Deadline, ImageItem, RunControl
from backend.contracts.journal import Note, NullJournal
from backend.engine.probe import LinearHead
from backend.search import doubts
from backend.search.budget import Budget
from backend.search.doubts import doubt_labels, judges
from backend.search.trial import Trial

IMAGES, TEST = 120, 24
NAMES = ("ant", "bee", "cat")
FLIPPED = (5, 40, 110)  # the last is a test image


class Remembering(NullJournal):
    def __init__(self):
        self.notes = {}

    def recall(self, key):
        return self.notes.get(key)

    def note(self, key, facts, arrays=None):
        self.notes[key] = Note(facts, arrays or {})


def study_of(targets, **control):
    item = ImageItem(image_id="img", path="a.png", label="ant", digest="d", width=8, height=8)
    items = [
        item.model_copy(update={"image_id": f"img-{place}", "label": NAMES[target], "digest": f"d{place}"})
        for place, target in enumerate(targets)
    ]
    return SimpleNamespace(
        dataset=SimpleNamespace(items=items, class_names=NAMES),
        targets=targets,
        learnable=np.arange(IMAGES - TEST),
        ranking=np.arange(IMAGES - TEST),
        test=np.arange(IMAGES - TEST, IMAGES),
        groups=np.arange(IMAGES),
        num_classes=3,
        split=SimpleNamespace(same=()),
        balanced=False,
        control=RunControl(**control),
    )


@pytest.fixture
def targets():
    given = np.arange(IMAGES) % 3
    given[list(FLIPPED)] = (given[list(FLIPPED)] + 1) % 3
    return given


def probe(name, accuracy, *, distance=4.0, seed=0):
    """A finished probe over clouds of features about the true classes."""
    rows = np.random.default_rng(seed).normal(size=(IMAGES, 6)) + distance * np.eye(6)[np.arange(IMAGES) % 3]
    learned = np.arange(IMAGES - TEST)
    answers = np.full((len(learned), 3), 1 / 3)
    head = LinearHead(
        weight=np.zeros((3, 6)), bias=np.zeros(3), regularisation=1.0, cv_accuracy=accuracy, out_of_fold=answers
    )
    return Trial(
        candidate=Candidate(name=name, family="f", timm_name=name, description="d"),
        strategy="probe",
        held_out=answers,
        places=learned,
        test_probabilities=np.full((TEST, 3), 1 / 3),
        head=head,
        build=lambda: None,
        features_of=lambda places: rows[places],
    )


def budget_of(seconds=None):
    return Budget(Deadline(seconds), seconds)


def accused(found):
    return {int(one.image_id.removeprefix("img-")) for one in found}


def test_wrong_labels_are_found_among_test_images_too(targets):
    ranked = [probe("one", 0.9), probe("two", 0.89, seed=1)]
    found, notes = doubt_labels(study_of(targets), ranked, ranked[0], budget=budget_of())
    assert set(FLIPPED) <= accused(found)
    assert len(found) <= len(FLIPPED) + 6
    assert notes == []
    assert all(0 <= one.confidence <= 1 for one in found)
    assert {one.suggested for one in found if one.image_id == "img-5"} == {NAMES[5 % 3]}


def test_the_best_probes_judge_and_nobody_else():
    ranked = [probe("a", 0.88), probe("b", 0.90), probe("c", 0.87), probe("d", 0.86), probe("weak", 0.80)]
    ranked.append(replace(probe("unfinished", 0.95), test_probabilities=None))
    ranked.append(replace(probe("other images", 0.89), places=np.arange(50)))
    ranked.append(probe("stopped", 0.95).stopped("too slow"))
    assert [one.candidate.name for one in judges(ranked)] == ["b", "a", "c"]


def test_without_probes_the_winner_answers(targets):
    held_out = np.eye(3)[np.arange(IMAGES - TEST) % 3] * 0.91 + 0.03
    held_out[list(FLIPPED[:2])] += 0.03 * np.eye(3)[np.array(FLIPPED[:2]) % 3] - 0.01
    winner = replace(probe("tuned", 0.9), head=None, held_out=held_out)
    found, notes = doubt_labels(study_of(targets), [winner], winner, budget=budget_of())
    assert accused(found) == set(FLIPPED[:2])
    assert notes == []


@pytest.mark.parametrize("seconds", [0.0, 2.0])
def test_without_time_the_winner_answers_and_it_is_said(targets, seconds):
    ranked = [probe("one", 0.9)]
    found, notes = doubt_labels(study_of(targets), ranked, ranked[0], budget=budget_of(seconds))
    assert found == ()
    assert "did not fit" in notes[0]


def test_too_many_images_are_not_judged_anew(targets, monkeypatch):
    monkeypatch.setattr(doubts, "MOST_ANSWERS", IMAGES - 1)
    ranked = [probe("one", 0.9)]
    assert "120 images did not fit" in doubt_labels(study_of(targets), ranked, ranked[0], budget=budget_of())[1][0]


def test_fewer_networks_judge_many_images(targets, monkeypatch):
    monkeypatch.setattr(doubts, "MOST_ANSWERS", 2 * IMAGES)
    asked = []
    ranked = [
        replace(one, features_of=lambda places, one=one: asked.append(one.candidate.name) or one.features_of(places))
        for one in (probe("a", 0.9), probe("b", 0.89), probe("c", 0.88))
    ]
    doubt_labels(study_of(targets), ranked, ranked[0], budget=budget_of())
    assert asked == ["a", "b"]


def test_an_attempt_that_goes_on_decides_as_the_first_did(targets):
    study = study_of(targets, journal=Remembering())
    ranked = [probe("one", 0.9)]
    first = doubt_labels(study, ranked, ranked[0], budget=budget_of())
    assert doubt_labels(study, ranked, ranked[0], budget=budget_of(0.0)) == first


def test_a_list_that_is_cut_says_so(targets, monkeypatch):
    monkeypatch.setattr(doubts, "MOST_LISTED", 2)
    ranked = [probe("one", 0.9)]
    found, notes = doubt_labels(study_of(targets), ranked, ranked[0], budget=budget_of())
    assert len(found) == 2
    assert notes[0].endswith("the 2 likeliest mistakes are listed.")


def test_a_ranked_winner_is_needed(targets):
    winner = replace(probe("one", 0.9), held_out=None)
    with pytest.raises(ValueError, match="ranked"):
        doubt_labels(study_of(targets), [winner], winner, budget=budget_of())

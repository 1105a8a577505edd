"""What a network was shown is counted once, whatever asks again; what lay there before is noted for the next attempt."""

from __future__ import annotations

import numpy as np

from backend.contracts import Candidate, FeatureUse
from backend.contracts.journal import NullJournal
from backend.search.entrant import Entrant
from backend.storage.journal import FileJournal


class Source:
    """Features of the first images lie on the disk."""

    def __init__(self, kept):
        self.kept = kept

    def at_hand(self, places):
        return int((places < self.kept).sum())


def entrant(kept):
    candidate = Candidate(name="n", family="f", timm_name="t", parameters=1, input_size=32, weights="scratch")
    return Entrant(candidate=candidate, preprocessing=None, source=Source(kept))


def test_rungs_that_grow_count_each_image_once():
    climber = entrant(15)
    assert climber.use == FeatureUse(images=0, at_hand=0)
    climber.show(np.arange(10), journal=NullJournal())
    climber.source.kept = 40  # by now it has computed some itself
    climber.show(np.arange(10), journal=NullJournal())
    assert climber.use == FeatureUse(images=10, at_hand=10)
    climber.source.kept = 15
    climber.show(np.arange(30), journal=NullJournal())
    assert climber.use == FeatureUse(images=30, at_hand=15)


def test_another_attempt_does_not_take_its_own_features_for_an_earlier_run_s(tmp_path):
    with_notes = FileJournal(tmp_path / "job")
    with_notes.begin({"recipe": "r"})
    first = entrant(0)
    first.show(np.arange(10), journal=with_notes)
    second = entrant(10)
    second.show(np.arange(10), journal=with_notes)
    assert second.use == FeatureUse(images=10, at_hand=0)
    with_notes.close()

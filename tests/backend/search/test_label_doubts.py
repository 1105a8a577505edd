import numpy as np
import pytest

from backend.contracts import ImageItem
from backend.search.label_doubts import suspect_decisions

NAMES = ("crack", "hole")


def items(targets, *, digests=None):
    names = [tuple(name for name, one in zip(NAMES, row, strict=True) if one) for row in targets]
    return [
        ImageItem(
            image_id=f"image-{place}",
            path=f"{place}.png",
            file=f"strips/{place}.png",
            label=own[0] if own else "",
            labels=own,
            digest=digests[place] if digests else f"{place:06d}",
            width=1,
            height=1,
        )
        for place, own in enumerate(names)
    ]


def judged(*, images=200, share=0.1, noise=0.05, scale=0.4, seed=0):
    """Scores of a model that knows its labels; those of a rare label are low everywhere."""
    random = np.random.default_rng(seed)
    truth = (random.random((images, 2)) < share).astype(np.float32)
    return scale * truth + random.normal(0, noise, truth.shape), truth


def test_flipped_labels_are_found_and_named_for_what_they_lack_or_have_too_much():
    scores, truth = judged()
    targets = truth.copy()
    superfluous, missing = np.flatnonzero(truth[:, 0] == 0)[:3], np.flatnonzero(truth[:, 1] == 1)[:2]
    targets[superfluous, 0], targets[missing, 1] = 1, 0
    found = suspect_decisions(scores, targets, items(targets), NAMES)
    assert {(one.image_id, one.doubted, one.kind) for one in found} == {
        *((f"image-{place}", "crack", "superfluous") for place in superfluous),
        *((f"image-{place}", "hole", "missing") for place in missing),
    }
    assert all(one.confidence > 0.6 for one in found)
    assert all(one.file == one.image_id.replace("image-", "strips/") + ".png" for one in found)


def test_what_is_suggested_are_all_labels_as_they_would_be():
    scores, truth = judged()
    both = int(np.flatnonzero(truth[:, 1] == 1)[0])
    targets = truth.copy()
    scores[both], targets[both] = [0.4, 0.4], [1, 0]
    [found] = suspect_decisions(scores, targets, items(targets), NAMES)
    assert (found.label, found.suggested, found.suggested_labels) == ("crack", "crack, hole", ("crack", "hole"))
    targets[both], scores[both] = [1, 0], [0.0, 0.0]
    [found] = suspect_decisions(scores, targets, items(targets), NAMES)
    assert (found.label, found.suggested, found.suggested_labels) == ("crack", "", ())


def test_a_model_that_knows_nothing_accuses_nobody():
    _, truth = judged()
    random = np.random.default_rng(1)
    assert suspect_decisions(random.random(truth.shape), truth, items(truth), NAMES) == ()
    assert suspect_decisions(np.zeros(truth.shape), truth, items(truth), NAMES) == ()


def test_at_most_one_image_in_twenty_is_doubted():
    scores, truth = judged(noise=0.17, seed=3)
    assert 0 < len(suspect_decisions(scores, truth, items(truth), NAMES)) <= 10


def test_equal_pictures_that_disagree_come_first_whatever_the_model_thinks():
    scores, truth = judged()
    truth[:3], scores[:3] = [[1, 0], [1, 0], [0, 0]], 0.0
    digests = ["same"] * 3 + [f"{place}" for place in range(3, len(truth))]
    first = suspect_decisions(scores, truth, items(truth, digests=digests), NAMES)[0]
    assert (first.image_id, first.doubted, first.kind) == ("image-2", "crack", "missing")


def test_what_does_not_go_together_is_refused():
    scores, truth = judged()
    with pytest.raises(ValueError, match="scores"):
        suspect_decisions(scores, truth, items(truth)[:-1], NAMES)

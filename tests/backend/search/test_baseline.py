from types import SimpleNamespace

import numpy as np

from backend.search.baseline import run_baseline


def study(targets, task, classes):
    targets = np.asarray(targets)
    train = np.arange(len(targets))[:-1]
    return SimpleNamespace(
        targets=targets, train=train, test=np.array([len(targets) - 1]), num_classes=classes, task=task
    )


def test_the_shares_of_the_training_classes_are_the_answer_to_every_picture():
    trial = run_baseline(study([0, 0, 0, 1, 1], "multiclass", 3), np.arange(2))
    assert trial.held_out.tolist() == [[0.75, 0.25, 0.0]] * 2
    assert trial.test_probabilities.tolist() == [[0.75, 0.25, 0.0]]
    assert "most frequent class" in trial.reason


def test_every_label_gets_its_share_of_the_images():
    trial = run_baseline(study([[1, 1], [1, 0], [0, 0], [1, 0], [1, 1]], "multilabel", 2), np.arange(3))
    assert trial.held_out.tolist() == [[0.75, 0.25]] * 3
    assert "its share" in trial.reason

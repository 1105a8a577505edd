"""Every entry of the catalogue fits, answers, is saved and opened without trust."""

import numpy as np
import pandas as pd
import pytest
import skops.io

from backend.tabular.features import FeatureNames
from backend.tabular.fitting import Learner, answers_of
from backend.tabular.model import TRUSTED
from backend.tabular.models import MODELS

NAMES = FeatureNames(numbers=("a", "b"), categories=("c",), texts=("t",))


def features(rows=60):
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"a": generator.normal(size=rows), "b": np.nan})
    frame.loc[::2, "b"] = 1.0
    frame["c"] = generator.choice(["x", "y", ""], rows).astype(object)
    frame["t"] = generator.choice(["a short text", "another text here", ""], rows).astype(object)
    return frame


def learner(name, task, classes, setting=0):
    spec = MODELS.get(name)
    return Learner(spec, spec.settings[setting], task, NAMES, classes, seed=0, threads=1)


@pytest.mark.parametrize("name", MODELS.names())
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_it_answers_alike_after_it_was_saved(name, task):
    frame = features()
    classes = 3 if task == "classification" else 0
    targets = np.arange(60) % 3 if classes else frame["a"].to_numpy() * 2
    fitted = learner(name, task, classes).fit(frame, targets)
    expected = answers_of(fitted, frame, task=task, classes=classes)
    saved = skops.io.dumps(fitted)
    assert set(skops.io.get_untrusted_types(data=saved)) <= set(TRUSTED)
    opened = skops.io.loads(saved, trusted=list(TRUSTED))
    np.testing.assert_allclose(answers_of(opened, frame, task=task, classes=classes), expected)
    if classes:
        np.testing.assert_allclose(expected.sum(axis=1), 1.0)


def test_a_class_that_the_rows_lack_gets_hardly_any_probability():
    fitted = learner("linear", "classification", 3).fit(features(), np.arange(60) % 2)
    told = answers_of(fitted, features(), task="classification", classes=3)
    assert told.shape == (60, 3)
    assert told[:, 2].max() < 1e-5


@pytest.mark.parametrize("name", ["linear", "boosting"])
def test_unknown_words_and_missing_numbers_are_answered(name):
    fitted = learner(name, "classification", 2).fit(features(), np.arange(60) % 2)
    asked = pd.DataFrame({"a": [np.nan], "b": [np.nan], "c": ["never seen"], "t": [""]})
    assert np.isfinite(answers_of(fitted, asked, task="classification", classes=2)).all()


@pytest.mark.parametrize("name", MODELS.names())
def test_every_setting_can_be_built(name):
    for setting in range(len(MODELS.get(name).settings)):
        learner(name, "regression", 0, setting).fit(features(30), np.arange(30.0))

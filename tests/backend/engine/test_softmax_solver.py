"""The solver ends where scikit-learn's LogisticRegression ends, in far fewer steps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize
from sklearn.linear_model import LogisticRegression

from backend.engine.linear import fit_linear, predict_linear
from backend.engine.softmax_solver import SoftmaxSolver, principal_components


def uneven(count: int, columns: int, classes: int):
    """Features whose columns differ in size by four orders of magnitude, like those of an untrained network."""
    random = np.random.default_rng(7)
    targets = np.sort(np.arange(count) % (classes + 2) % classes)
    centres = random.normal(size=(classes, columns))
    mixing = np.linalg.qr(random.normal(size=(columns, columns)))[0] * np.geomspace(1.0, 1e-4, columns)
    return (centres[targets] + random.normal(size=(count, columns))) @ mixing, targets


@pytest.mark.parametrize("balanced", [False, True], ids=["plain", "balanced"])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize(("count", "columns"), [(60, 150), (200, 30)], ids=["wide", "tall"])
@pytest.mark.parametrize("strength", [1e-3, 1.0])
def test_it_agrees_with_scikit_learn(count, columns, classes, balanced, strength):
    features, targets = uneven(count, columns, classes)
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = np.maximum(scale, 1e-2 * scale.mean())
    reference = LogisticRegression(
        C=strength, tol=1e-9, max_iter=20_000, class_weight="balanced" if balanced else None
    ).fit((features - mean) / scale, targets)
    head = fit_linear(features, targets, num_classes=classes, strength=strength, balanced=balanced)
    expected = reference.predict_proba((features - mean) / scale)
    np.testing.assert_allclose(predict_linear(head, features), expected, atol=1e-3)


def test_rescaled_columns_need_a_fraction_of_the_steps(monkeypatch):
    """As in an untrained network, where brightness moves every feature at once and the classes differ in little else."""
    random = np.random.default_rng(5)
    targets = np.arange(160) % 5
    spread = np.geomspace(100.0, 0.1, 300)
    rows = random.normal(size=(160, 300)) * spread + 0.3 * random.normal(size=(5, 300))[targets]
    rows -= rows.mean(axis=0)
    calls = []
    minimize = optimize.minimize
    monkeypatch.setattr(optimize, "minimize", lambda *a, **k: calls.append(minimize(*a, **k)) or calls[-1])
    SoftmaxSolver(principal_components(rows.copy()), targets, num_classes=5, counts=np.ones(160), tolerance=1e-5).solve(
        1e-2
    )
    plain = LogisticRegression(C=1e-2, tol=1e-5, max_iter=5000).fit(rows, targets)
    assert calls[0].nit * 3 < plain.n_iter_[0]


@pytest.mark.parametrize("shape", [(20, 50), (50, 20)])
def test_components_are_the_same_rows_seen_from_another_side(shape):
    rows = np.random.default_rng(1).normal(size=shape)
    rows -= rows.mean(axis=0)
    found = principal_components(rows.copy())
    np.testing.assert_allclose(found.rows @ found.basis, rows, atol=1e-8)
    np.testing.assert_allclose(found.rows.T @ found.rows, np.diag(found.singular**2), atol=1e-6)

import numpy as np
import pytest
import torch

from backend.engine.activation import activate, activate_array

SCORES = np.array([[2.0, -1.0, 0.5], [-800.0, 800.0, 0.0]])


def test_one_class_an_image_shares_one_whole():
    rows = activate(torch.tensor(SCORES), "multiclass").numpy()
    assert rows.sum(axis=1) == pytest.approx([1.0, 1.0])
    assert rows[0] == pytest.approx(np.exp(SCORES[0]) / np.exp(SCORES[0]).sum())


def test_several_labels_an_image_stand_each_for_itself():
    rows = activate(torch.tensor(SCORES), "multilabel").numpy()
    assert rows[0] == pytest.approx(1 / (1 + np.exp(-SCORES[0])))
    assert rows[1] == pytest.approx([0.0, 1.0, 0.5])


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_arrays_and_tensors_agree_and_neither_overflows(task):
    with np.errstate(over="raise"):
        rows = activate_array(SCORES, task)
    assert rows == pytest.approx(activate(torch.tensor(SCORES), task).numpy(), abs=1e-15)
    assert rows.dtype == np.float64

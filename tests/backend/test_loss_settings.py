"""What a recipe says of its loss: a parameter that does not fit is refused by name, never ignored."""

import pytest

from backend.contracts.losses import LOSS_CATALOGUE, FocalParams, LossSettings
from backend.errors import RecipeError


def test_auto_follows_the_task() -> None:
    assert LossSettings().entry("multiclass").name == "cross_entropy"
    assert LossSettings().entry("multilabel").name == "bce"


def test_cross_entropy_is_refused_for_many_labels_with_what_fits() -> None:
    with pytest.raises(RecipeError, match="bce, focal"):
        LossSettings(type="cross_entropy").entry("multilabel")


def test_a_parameter_of_another_loss_is_refused_by_name() -> None:
    with pytest.raises(RecipeError, match=r"'bce' has no 'gamma'.*label_smoothing"):
        LossSettings(type="bce", gamma=2.0).checked_params("multilabel")


def test_what_is_left_open_is_the_losses_own_default() -> None:
    params = LossSettings(type="focal", alpha="dynamic").checked_params("multilabel")

    assert params == FocalParams(alpha="dynamic", gamma=2.0)


@pytest.mark.parametrize("value", [{"gamma": -1}, {"alpha": 1.5}, {"alpha": "often"}, {"label_smoothing": 1.0}])
def test_values_out_of_range_are_refused(value: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(value))):
        LossSettings.model_validate({"type": "focal", **value})


def test_every_parameter_of_every_loss_can_be_said_in_a_recipe() -> None:
    said = set(LossSettings.model_fields) - {"type"}

    assert said == {name for entry in LOSS_CATALOGUE for name in entry.params.model_fields}

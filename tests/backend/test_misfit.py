"""A value that does not fit is answered with what was seen and the nearest right one, whoever asks."""

import pytest

from backend.contracts import Recipe
from backend.errors import RecipeError
from backend.workflows.train_images import recipe_from


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"loss.type": "focl"}, """'loss.type' does not fit: .*'focal' \\(seen: "focl"\\). Did you mean 'focal'?"""),
        ({"loss.alpha": "dynamc"}, """\\(seen: "dynamc"\\). Did you mean 'dynamic'?"""),
        ({"loss.alpha": 1.5}, r"'loss.alpha' does not fit: seen: 1\.5\. .*a number, one for each class, dynamic"),
        ({"data.resolution": [5, 6]}, r"seen: \[5, 6\]\. .*or \[height, width\] in pixels"),
        ({"optimizer.learning_rate": 1}, "There is no setting 'optimizer.learning_rate'. Did you mean 'optimizer.lr'?"),
        ({"data.split": "stratified_70_15"}, "Did you mean 'stratified_70_15_15'?"),
        ({"data.resolution": "ful"}, "Did you mean 'full'?"),
        (
            {"optimizer.lr": "abc"},
            r"'finetune.backbone_lr' does not fit: .*\(seen: \"abc\"\)\. It is also called optimizer\.lr",
        ),
        ({"loss.gamma": -1}, r"greater than or equal to 0 \(seen: -1\)"),
        ({"data.group_by": "prefixx:3"}, 'seen: "prefixx:3". Images of one group never lie on both sides: prefix:5'),
    ],
)
def test_an_expert_setting_s_value_is_answered_with_the_nearest_right_one(overrides, said):
    with pytest.raises(RecipeError, match=said):
        Recipe(dataset_id="ds-test", overrides=overrides).check_overrides()


def test_a_field_s_value_is_answered_with_the_nearest_right_one():
    with pytest.raises(RecipeError, match=r"'strategy' does not fit: .*\(seen: \"prob\"\). Did you mean 'probe'?"):
        recipe_from({"strategy": "prob"}, "ds-test")


def test_where_nothing_is_near_nothing_is_guessed():
    with pytest.raises(RecipeError) as caught:
        Recipe(dataset_id="ds-test", overrides={"loss.type": "zzz"}).check_overrides()
    assert "Did you mean" not in str(caught.value)


def test_a_long_value_is_shown_in_part():
    with pytest.raises(RecipeError) as caught:
        Recipe(dataset_id="ds-test", overrides={"loss.type": "x" * 5000}).check_overrides()
    assert len(str(caught.value)) < 300

"""What chooses the epoch of a fine-tune."""

from types import SimpleNamespace

import pytest

from backend.contracts import Recipe
from backend.search.tuning import judged_by


@pytest.mark.parametrize(
    ("options", "ranked_by", "judged"),
    [
        ({"preset": "defects"}, "accuracy", "macro_f1"),  # as the guide says of early stopping
        ({"preset": "defects", "rank_by": "accuracy"}, "accuracy", "accuracy"),
        ({"preset": "defects"}, "mean_average_precision", "macro_f1"),
        ({"strategy": "finetune"}, "accuracy", "accuracy"),
        ({"strategy": "finetune"}, "macro_f1", "macro_f1"),
    ],
)
def test_the_rare_kinds_choose_the_epoch_of_a_defects_training(options, ranked_by, judged):
    recipe = Recipe.model_validate({"dataset_id": "ds-1", **options})
    assert judged_by(SimpleNamespace(recipe=recipe, ranked_by=ranked_by)) == judged

import pytest

from backend.contracts import HeadToHead, ModelComparison
from backend.errors import NotFoundError
from backend.storage.comparisons import Comparisons


def comparison(challenger="md-2", champion="md-1", **changes):
    fields = {
        "challenger_id": challenger,
        "champion_id": champion,
        "challenger_name": "resnet18",
        "champion_name": "vit",
        "dataset_id": "ds-1",
        "dataset_version": 2,
        "champion_dataset_id": "ds-1",
        "champion_version": 1,
        "overall": HeadToHead(
            images=9,
            champion_right=7,
            challenger_right=8,
            only_champion=1,
            only_challenger=2,
            p_value=1.0,
            verdict="unsure",
        ),
        "classes": (),
        "test_images": 12,
        "left_out": 3,
        "headline": "About the same.",
        "by_class": "",
    }
    return ModelComparison(**{**fields, **changes})


def test_a_comparison_is_kept_and_replaced(database):
    kept = Comparisons(database)
    kept.put(comparison())
    kept.put(comparison(champion="md-0"))
    kept.put(comparison(headline="Better."))
    assert kept.get("md-2", "md-1").headline == "Better."
    assert [one.champion_id for one in kept.of("md-2")] == ["md-1", "md-0"]
    assert kept.of("md-1") == []


def test_the_other_way_round_is_another_question(database):
    kept = Comparisons(database)
    kept.put(comparison())
    with pytest.raises(NotFoundError, match=r"POST /api/cv/models/md-1/compare\?with=md-2"):
        kept.get("md-1", "md-2")

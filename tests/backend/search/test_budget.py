"""The budget keeps a share for the end and says in one sentence what does not fit."""

from backend.contracts import Deadline
from backend.search.budget import Budget


def test_without_a_limit_everything_fits():
    budget = Budget(Deadline(None), None)
    assert budget.refusal("Anything", 1e9) is None


def test_what_is_left_leaves_room_for_the_end():
    budget = Budget(Deadline(100.0), 100.0)
    assert 0 < budget.reserve < 10
    assert budget.left() <= 100 - budget.reserve


def test_a_small_budget_reserves_a_third_at_most():
    assert Budget(Deadline(3.0), 3.0).reserve == 1.0


def test_a_refusal_names_the_work_the_estimate_what_is_left_and_the_way_out():
    reason = Budget(Deadline(30.0), 30.0).refusal("Looking at 200 images", 61.2)
    assert reason is not None
    for part in ("Looking at 200 images", "61 s", "30 s", "time_budget_s"):
        assert part in reason


def test_an_estimate_within_what_is_left_is_no_refusal():
    assert Budget(Deadline(30.0), 30.0).refusal("Looking at 200 images", 5.0) is None

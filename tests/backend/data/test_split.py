from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.data.manifest import restrict_classes
from backend.data.split import stratified_split
from backend.errors import DatasetError, RecipeError


def rows(**counts: int) -> list[tuple[str, str]]:
    return [(label, f"{label}{n}") for label, count in counts.items() for n in range(count)]


def pictures(dataset, places) -> set[str]:
    return {dataset.items[place].digest for place in places}


def test_each_class_is_divided_by_the_shares(listed):
    dataset = listed(*rows(a=100, b=50))
    split = stratified_split(dataset, test_size=0.2, seed=1)
    counts = [Counter(dataset.items[place].label for place in part) for part in (split.train, split.val, split.test)]
    assert counts == [{"a": 64, "b": 32}, {"a": 16, "b": 8}, {"a": 20, "b": 10}]


def test_three_images_are_enough_for_one_each(listed):
    split = stratified_split(listed(*rows(a=3, b=3)), test_size=0.5, val_size=0.9, seed=0)
    assert [len(part) for part in (split.train, split.val, split.test)] == [2, 2, 2]


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_images_are_refused_with_class_and_count(listed, count):
    with pytest.raises(DatasetError, match=f"'bag' has {count} image"):
        stratified_split(listed(*rows(a=9, bag=count)), test_size=0.2, seed=0)


def test_copies_of_one_picture_do_not_count_as_three(listed):
    with pytest.raises(DatasetError, match="'b' has 4 images, of which 2 are different"):
        stratified_split(listed(*rows(a=3), ("b", "x"), ("b", "x"), ("b", "x"), ("b", "y")), test_size=0.2, seed=0)


def test_the_same_seed_gives_the_same_split_and_another_one_another(listed):
    dataset = listed(*rows(a=30, b=30))
    first, again, other = (stratified_split(dataset, test_size=0.2, seed=seed) for seed in (5, 5, 6))
    assert first == again
    assert first.test != other.test


def test_the_order_of_the_items_does_not_matter(listed):
    members = rows(a=20, b=20)
    one, other = listed(*members), listed(*reversed(members))
    parts = [stratified_split(dataset, test_size=0.2, seed=3) for dataset in (one, other)]
    assert pictures(one, parts[0].test) == pictures(other, parts[1].test)
    assert pictures(one, parts[0].val) == pictures(other, parts[1].val)


def test_a_class_is_divided_alike_whichever_others_are_chosen(listed):
    whole = listed(*rows(a=20, b=20, c=20))
    some = restrict_classes(whole, ["a", "c"])
    split, again = (stratified_split(dataset, test_size=0.2, seed=3) for dataset in (whole, some))
    assert pictures(some, again.test) < pictures(whole, split.test)


def test_a_picture_under_two_labels_only_trains(listed):
    dataset = listed(*rows(a=10, b=10), ("a", "both"), ("b", "both"))
    for seed in range(20):
        assert "both" in pictures(dataset, stratified_split(dataset, test_size=0.3, seed=seed).train)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 2])
def test_a_share_must_lie_between_0_and_1(listed, share):
    with pytest.raises(RecipeError, match="test_size"):
        stratified_split(listed(*rows(a=3, b=3)), test_size=share, seed=0)
    with pytest.raises(RecipeError, match="val_size"):
        stratified_split(listed(*rows(a=3, b=3)), test_size=0.2, val_size=share, seed=0)


PICTURES = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 25).map(str)), min_size=1, max_size=60)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(members=PICTURES, test_size=st.floats(0.05, 0.9), val_size=st.floats(0.05, 0.9), seed=st.integers(0, 99))
def test_any_split_is_whole_disjoint_and_never_straddles_a_picture(listed, members, test_size, val_size, seed):
    dataset = listed(*members)
    try:
        split = stratified_split(dataset, test_size=test_size, val_size=val_size, seed=seed)
    except DatasetError:
        own = {label: {d for one, d in members if one == label} for label in dataset.class_names}
        assert min(len(found - set().union(*(own[o] for o in own if o != label))) for label, found in own.items()) < 3
        return
    parts = (split.train, split.val, split.test)
    assert sorted(place for part in parts for place in part) == list(range(len(members)))
    seen = [pictures(dataset, part) for part in parts]
    assert len(set.union(*seen)) == sum(len(part) for part in seen)
    for part in parts:
        assert {dataset.items[place].label for place in part} == set(dataset.class_names)

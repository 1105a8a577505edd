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


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
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


# -- versions, near copies, parts that the upload named


def part_of(dataset, split) -> dict[str, str]:
    parts = {"train": split.train, "val": split.val, "test": split.test}
    return {dataset.items[place].image_id: name for name, places in parts.items() for place in places}


def with_changes(dataset, **changes):
    """The dataset with fields of single items replaced, by place."""
    items = [item.model_copy(update=changes.get(f"at_{place}", {})) for place, item in enumerate(dataset.items)]
    return dataset.with_items(items)


def grown(dataset, rows, *, version):
    """The dataset with further images that came in a later version."""
    first = len(dataset.items)
    more = [
        dataset.items[0].model_copy(
            update={"image_id": f"image-{first + n}", "label": label, "digest": digest, "added_in": version}
        )
        for n, (label, digest) in enumerate(rows)
    ]
    return dataset.with_items([*dataset.items, *more])


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(members=PICTURES, seed=st.integers(0, 9), picks=st.lists(st.integers(0, 200), min_size=1, max_size=12))
def test_no_image_changes_its_part_whatever_is_added_excluded_or_relabelled(listed, members, seed, picks):
    dataset = listed(*rows(a=12, b=12, c=12), *members)
    before = part_of(dataset, stratified_split(dataset, test_size=0.25, seed=seed))
    more = [("abc"[n % 3], f"new{n}" if n % 2 else members[n % len(members)][1]) for n in picks]
    later = grown(dataset, more, version=2)
    out = {later.items[place % len(dataset.items)].image_id for place in picks[::2]}
    excluded = tuple(item for item in later.items if item.image_id in out)
    kept = [item for item in later.items if item.image_id not in out]
    corrected = [
        item.model_copy(update={"label": "a", "first_label": item.label}) if place in picks[1::2] else item
        for place, item in enumerate(kept)
    ]
    changed = later.with_items(corrected).model_copy(update={"excluded": excluded})
    try:
        after = part_of(changed, stratified_split(changed, test_size=0.25, seed=seed))
    except DatasetError:
        return  # a class lost a part altogether
    assert all(part == before[image_id] for image_id, part in after.items() if image_id in before)


def test_newcomers_go_where_their_copies_are_and_are_shared_out_otherwise(listed):
    dataset = listed(*rows(a=40, b=40))
    split = stratified_split(dataset, test_size=0.25, seed=3)
    of_test = dataset.items[split.test[0]]
    more = [(of_test.label, of_test.digest), *((label, f"new-{label}{n}") for label in "ab" for n in range(40))]
    later = grown(dataset, more, version=2)
    after = stratified_split(later, test_size=0.25, seed=3)
    assert part_of(later, after)["image-80"] == "test"
    assert Counter(part_of(later, after).values())["test"] in (40, 41)
    assert after.leaked == ()


def near(item, place):
    """A near copy: another file with facts of the same picture."""
    import base64

    import numpy as np

    from backend.contracts import ImageFacts

    def facts(of):
        noise = np.random.default_rng(of)
        return ImageFacts(
            format="PNG",
            mode="RGB",
            perceptual_hash=f"{int(noise.integers(0, 2**63)):016x}",
            brightness=0.5,
            contrast=0.2,
            sharpness=9.0,
            signature=base64.b64encode(noise.integers(0, 256, 162, dtype=np.uint8).tobytes()).decode(),
        )

    return item.model_copy(update={"facts": facts(place)})


def test_near_copies_never_straddle_and_are_counted(listed):
    dataset = listed(*rows(a=60, b=60))
    items = [near(item, place // 3) for place, item in enumerate(dataset.items)]  # every picture three times
    dataset = dataset.with_items(items)
    split = stratified_split(dataset, test_size=0.25, seed=1)
    parts = part_of(dataset, split)
    for first in range(0, 120, 3):
        assert len({parts[f"image-{first + n}"] for n in range(3)}) == 1
    assert (split.leaked, sum(len(group) for group in split.same)) == ((), 120)
    assert len(split.test) == 30


def test_parts_that_the_upload_named_are_kept_and_leaks_are_told(listed):
    dataset = listed(*rows(a=20, b=20), ("a", "a3"))  # the last is a copy of image-3
    named = {f"at_{place}": {"subset": "test" if place % 4 == 0 else "train"} for place in range(40)}
    dataset = with_changes(dataset, **named, at_40={"subset": "test"})
    split = stratified_split(dataset, test_size=0.5, seed=1)
    assert set(split.test) == {*range(0, 40, 4), 40}
    assert split.leaked == (40,)
    assert len(split.val) == 6  # a fifth of the rest, as the upload named no val


def test_a_class_of_copies_of_two_pictures_is_divided_by_files(listed):
    dataset = listed(*rows(a=12, b=12))
    dataset = dataset.with_items(
        [near(item, place % 2 if place < 12 else place) for place, item in enumerate(dataset.items)]
    )
    split = stratified_split(dataset, test_size=0.25, seed=0)
    assert {dataset.items[place].label for place in split.test} == {"a", "b"}
    assert len(split.leaked) == 3  # that it could not be helped is told


def test_a_part_that_corrections_emptied_is_named(listed):
    dataset = listed(*rows(a=10, b=10))
    split = stratified_split(dataset, test_size=0.2, seed=1)
    out = [dataset.items[place] for place in split.test if dataset.items[place].label == "a"]
    kept = [item for item in dataset.items if item not in out]
    rest = dataset.with_items(kept).model_copy(update={"excluded": tuple(out)})
    with pytest.raises(DatasetError, match="'a' has no image left for test"):
        stratified_split(rest, test_size=0.2, seed=1)

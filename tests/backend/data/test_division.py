from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from backend.contracts import Corrections, Dataset, DatasetInfo, DataSettings, ImageItem
from backend.data.corrections import corrected
from backend.data.division import divide
from backend.data.manifest import restrict_classes
from backend.data.targets import target_array
from backend.errors import DatasetError, RecipeError

NAMES = ("bridge", "crack", "hole", "spur", "stain", "void")
FIXED = DataSettings(split="stratified_70_15_15")


def image(number, labels, *, digest=None, file=None, added_in=1, subset=None):
    labels = tuple(sorted(labels))
    return ImageItem(
        image_id=f"image-{number}",
        path=f"images/{number}.png",
        label=labels[0] if labels else "",
        labels=labels,
        digest=digest or f"{number * 7919 % 99991:08d}",
        width=32,
        height=32,
        file=file or f"images/{number:05d}.png",
        added_in=added_in,
        subset=subset,
    )


def several(items, *, task="multilabel", excluded=()):
    info = DatasetInfo(
        dataset_id="ds-division",
        name="strips",
        task=task,
        total_images=0,
        num_classes=0,
        class_counts={},
        digest="0",
        excluded_images=len(excluded),
        created_at=datetime(2024, 1, 1, tzinfo=UTC),
    )
    return Dataset(info=info, root=Path("nowhere"), items=(), excluded=tuple(excluded)).with_items(items)


def drawn(count, positives, *, seed):
    """Images with a given number of positives for each label, drawn at random."""
    random = np.random.default_rng(seed)
    labels = [set() for _ in range(count)]
    for name, wanted in zip(NAMES, positives, strict=False):
        for place in random.choice(count, size=wanted, replace=False):
            labels[place].add(name)
    return [image(number, own) for number, own in enumerate(labels)]


def parts(split):
    return {"train": split.train, "val": split.val, "test": split.test}


def part_by_digest(dataset, split):
    return {dataset.items[place].digest: name for name, places in parts(split).items() for place in places}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    count=st.integers(300, 900),
    frequent=st.lists(st.integers(12, 280), min_size=1, max_size=5),
    rule=st.sampled_from(["by_test_size", "stratified_70_15_15", "stratified_80_10_10"]),
    seed=st.integers(0, 10_000),
)
@example(count=300, frequent=[12, 12, 12, 12, 12], rule="stratified_80_10_10", seed=0)
def test_every_label_s_share_is_within_two_points_in_each_part(count, frequent, rule, seed):
    dataset = several(drawn(count, [12, *frequent], seed=seed))
    split = divide(dataset, DataSettings(split=rule), test_size=0.2, seed=seed)
    targets = target_array(dataset)
    for name, places in parts(split).items():
        apart = np.abs(targets[list(places)].mean(axis=0) - targets.mean(axis=0))
        assert apart.max() <= 0.02, f"{name}: {apart}"
    assert sorted(place for places in parts(split).values() for place in places) == list(range(count))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("stratified_70_15_15", [210, 45, 45]), ("stratified_80_10_10", [240, 30, 30]), ("by_test_size", [192, 48, 60])],
)
def test_the_parts_have_the_sizes_that_were_asked_for(rule, expected):
    split = divide(several(drawn(300, [90, 40, 12], seed=1)), DataSettings(split=rule), test_size=0.2, seed=1)
    assert [len(places) for places in parts(split).values()] == pytest.approx(expected, abs=1)


def test_fixed_shares_hold_for_one_class_an_image_too():
    items = [image(n, (NAMES[n % 2],)) for n in range(200)]
    single = several([one.model_copy(update={"labels": ()}) for one in items], task="multiclass")
    split = divide(single, FIXED, test_size=0.4, seed=3)
    assert [len(places) for places in parts(split).values()] == [140, 30, 30]


def test_images_without_any_label_are_divided_like_a_label():
    dataset = several(drawn(300, [60, 30, 12], seed=2))
    split = divide(dataset, FIXED, test_size=0.2, seed=2)
    empty = target_array(dataset).sum(axis=1) == 0
    for places in parts(split).values():
        assert abs(empty[list(places)].mean() - empty.mean()) < 0.02


def test_seed_and_pictures_decide_not_the_order():
    items = drawn(120, [40, 20, 12], seed=3)
    one, other = several(items), several(items[::-1])
    assert part_by_digest(one, divide(one, FIXED, test_size=0.2, seed=5)) == part_by_digest(
        other, divide(other, FIXED, test_size=0.2, seed=5)
    )
    assert divide(one, FIXED, test_size=0.2, seed=5) != divide(one, FIXED, test_size=0.2, seed=6)


def test_copies_stay_together_and_contradictory_ones_train():
    items = drawn(100, [30, 20], seed=4)
    items += [image(200 + n, ("crack",), digest="same") for n in range(4)]
    items += [image(300, ("crack",), digest="both"), image(301, (), digest="both")]
    dataset = several(items)
    for seed in range(10):
        split = divide(dataset, FIXED, test_size=0.2, seed=seed)
        where = [{dataset.items[place].digest for place in places} for places in parts(split).values()]
        assert sum("same" in digests for digests in where) == 1
        assert "both" in where[0]
        assert split.leaked == ()


def test_no_part_changes_when_images_come_go_or_are_relabelled():
    before = several(drawn(150, [50, 30, 12], seed=6))
    known = part_by_digest(before, divide(before, FIXED, test_size=0.2, seed=7))
    gone, changed = before.items[3].image_id, before.items[5].image_id
    after = corrected(before, Corrections(exclude=(gone,), relabel={changed: ()}))
    extra = [image(1000 + n, (NAMES[n % 3],), added_in=3) for n in range(40)]
    after = several([*after.items, *extra], excluded=after.excluded)
    now = part_by_digest(after, divide(after, FIXED, test_size=0.2, seed=7))
    assert {digest: now[digest] for digest in known if digest in now} == {
        digest: part for digest, part in known.items() if digest in now
    }
    newcomers = Counter(now[one.digest] for one in extra)
    assert newcomers["train"] == pytest.approx(28, abs=3)


def test_parts_are_the_same_for_a_choice_of_labels():
    whole = several(drawn(150, [50, 30, 12], seed=8))
    some = restrict_classes(whole, ["bridge", "hole"])
    assert [len(some.items), some.class_names] == [150, ("bridge", "hole")]
    assert part_by_digest(whole, divide(whole, FIXED, test_size=0.2, seed=1)) == part_by_digest(
        some, divide(some, FIXED, test_size=0.2, seed=1)
    )


def test_parts_that_the_upload_named_are_kept():
    items = drawn(100, [40, 20], seed=9)
    items = [one.model_copy(update={"subset": "test" if place < 25 else "train"}) for place, one in enumerate(items)]
    dataset = several(items)
    split = divide(dataset, FIXED, test_size=0.2, seed=1)
    assert set(split.test) == set(range(25))
    assert len(split.val) == pytest.approx(75 * 0.15 / 0.85, abs=1)


def test_boards_never_straddle():
    random = np.random.default_rng(1)
    items = [
        image(n, {name for name in NAMES[:3] if random.random() < 0.3}, file=f"strips/{n // 10:05d}_{n % 10}.png")
        for n in range(300)
    ]
    dataset = several(items)
    split = divide(dataset, DataSettings(group_by="prefix:5"), test_size=0.2, seed=1)
    boards = [{dataset.items[place].file[7:12] for place in places} for places in parts(split).values()]
    assert [len(one) for one in boards] == [19, 5, 6]
    assert not boards[0] & boards[1] | boards[1] & boards[2] | boards[0] & boards[2]
    assert (split.grouped_by, len(split.together)) == ("prefix:5", 30)
    targets = target_array(dataset)
    for places in parts(split).values():
        assert np.abs(targets[list(places)].mean(axis=0) - targets.mean(axis=0)).max() < 0.06


def test_a_board_with_several_classes_stays_whole_where_an_image_has_one():
    items = [image(n, (NAMES[n % 3],), file=f"{n // 6}_x.png").model_copy(update={"labels": ()}) for n in range(120)]
    dataset = several(items, task="multiclass")
    split = divide(dataset, DataSettings(group_by="before:_"), test_size=0.25, seed=1)
    boards = [{dataset.items[place].file.partition("_")[0] for place in places} for places in parts(split).values()]
    assert [len(one) for one in boards] == [12, 3, 5]


def test_a_copy_on_two_boards_is_told_and_does_not_tie_them_together():
    items = [image(n, (NAMES[n % 2],), file=f"{n // 5}_x.png") for n in range(100)]
    items += [image(200 + n, (), digest="empty", file=f"{n}_e.png") for n in range(20)]
    split = divide(several(items), DataSettings(group_by="before:_"), test_size=0.2, seed=1)
    assert set(split.leaked) == {place for place in split.test if place >= 100}
    assert len(split.leaked) == 4


def test_a_label_on_too_few_images_is_refused_with_its_name_and_count():
    items = [*drawn(60, [20], seed=1), image(100, ("void",)), image(101, ("void",))]
    with pytest.raises(DatasetError, match=r"label 'void' is on 2 images, and val and test got none of them"):
        divide(several(items), FIXED, test_size=0.2, seed=1)


def test_a_label_of_one_board_is_refused():
    items = [image(n, ("void",) if n < 10 else ("spur",), file=f"{n // 10}_x.png") for n in range(100)]
    with pytest.raises(DatasetError, match="'before:_' can tell apart"):
        divide(several(items), DataSettings(group_by="before:_"), test_size=0.2, seed=1)


@settings(max_examples=25, deadline=None)
@given(
    rare=st.lists(st.integers(3, 9), min_size=1, max_size=4), count=st.integers(40, 400), seed=st.integers(0, 10_000)
)
def test_three_images_of_a_label_are_enough_for_one_each(rare, count, seed):
    dataset = several(drawn(count, [count // 3, *rare], seed=seed))
    split = divide(dataset, DataSettings(split="stratified_80_10_10"), test_size=0.2, seed=seed)
    for places in parts(split).values():
        assert target_array(dataset)[list(places)].sum(axis=0).min() >= 1


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_must_lie_between_0_and_1(share):
    with pytest.raises(RecipeError, match="test_size"):
        divide(several(drawn(60, [20], seed=1)), DataSettings(), test_size=share, seed=1)

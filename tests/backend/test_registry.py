"""The named catalogue: order, clashes, misses."""

import pytest

from backend.errors import RecipeError
from backend.registry import Registry, RegistryClash, nearest


@pytest.fixture
def fruits():
    registry = Registry("fruit")
    registry.register("pear", 1)
    registry.register("apple", 2)
    return registry


def test_entries_keep_the_order_of_registration(fruits):
    assert fruits.names() == ["pear", "apple"]
    assert list(fruits) == [1, 2]
    assert len(fruits) == 2


def test_a_name_gives_its_entry(fruits):
    assert fruits.get("apple") == 2
    assert "apple" in fruits
    assert "plum" not in fruits


def test_a_clash_raises_and_changes_nothing(fruits):
    with pytest.raises(RegistryClash, match="fruit 'pear' is already registered"):
        fruits.register("pear", 3)
    assert fruits.get("pear") == 1
    assert len(fruits) == 2


def test_a_miss_suggests_the_nearest_and_lists_all(fruits):
    with pytest.raises(RecipeError) as refused:
        fruits.get("aple")
    assert refused.value.detail == "There is no fruit 'aple'. Did you mean 'apple'? Allowed: pear, apple."


def test_nothing_is_suggested_where_nothing_is_near():
    assert nearest("zzz", ["pear", "apple"]) == ""
    assert nearest("PEAR", ["pear", "apple"]) == " Did you mean 'pear'?"


def test_a_suggestion_keeps_the_case_in_which_the_name_was_written():
    assert nearest("airplane", ["Airplane", "Ship"]) == " Did you mean 'Airplane'?"

"""Drafts: one a browser and dataset, forgotten when nobody comes back or too many come."""

from __future__ import annotations

import pytest

from frontend.drafts import KEPT_S, MOST, Draft, Drafts, is_browser, new_browser


def test_a_draft_is_found_by_its_key_until_nothing_is_chosen():
    drafts = Drafts()
    drafts.keep(("b", "ds-1"), Draft({"image": ""}, 3))
    assert drafts.find(("b", "ds-1")) == Draft({"image": ""}, 3)
    assert drafts.find(("b", "ds-2")) is None
    assert drafts.find(("c", "ds-1")) is None
    drafts.keep(("b", "ds-1"), Draft({}, 3))
    assert drafts.find(("b", "ds-1")) is None


def test_old_drafts_are_forgotten():
    now = [0.0]
    drafts = Drafts(clock=lambda: now[0])
    drafts.keep(("b", "ds-1"), Draft({"image": ""}, 1))
    now[0] = KEPT_S + 1
    assert drafts.find(("b", "ds-1")) is None
    drafts.keep(("b", "ds-2"), Draft({"image": ""}, 1))
    assert len(drafts._kept) == 1


def test_of_too_many_the_one_goes_that_was_not_touched_for_longest():
    drafts = Drafts()
    for number in range(MOST):
        drafts.keep(("b", str(number)), Draft({"image": ""}, 1))
    drafts.keep(("b", "0"), Draft({"image": "dog"}, 1))
    drafts.keep(("b", "one more"), Draft({"image": ""}, 1))
    assert drafts.find(("b", "0")) == Draft({"image": "dog"}, 1)
    assert drafts.find(("b", "1")) is None


def test_a_browser_s_name_is_never_the_same_and_no_other_passes():
    assert new_browser() != new_browser()
    assert is_browser(new_browser())


@pytest.mark.parametrize("name", [None, "", "x" * 21, "x" * 23, 'a";alert(1);//aaaaaaaa', "a" * 21 + "\n", object()])
def test_a_cookie_with_anything_else_is_no_name(name):
    assert not is_browser(name)

import pytest

from backend.i18n.template import Ambiguous, Template, normalised


def template(english, other=""):
    return Template(english, other)


@pytest.mark.parametrize(
    ("english", "text", "values"),
    [
        ("Nothing.", "Nothing.", ()),
        ("Nothing.", "Nothing", None),
        ("The '{}' is {}.", "The 'a b' is c.", ("a b", "c")),
        ("The '{}' is {}.", "The '' is .", ("", "")),
        ("{} of {}", "a of b", ("a", "b")),
        ("{} of {}", "aof b", None),
        ("'{}'.{} Has: {}.", "'x'. Did you? Has: a, b.", ("x", " Did you?", "a, b")),
    ],
)
def test_what_stands_in_the_places(english, text, values):
    assert template(english).match(text) == values


@pytest.mark.parametrize(("english", "text"), [("{} of {}", "a of b of c"), ("'{}' is '{}'", "'a' is 'b' is 'c'")])
def test_two_ways_are_none(english, text):
    with pytest.raises(Ambiguous):
        template(english).match(text)


def test_a_number_is_a_number_and_tells_two_ways_apart():
    counted = template("{} {} of {}", "{0:n} {1} von {2}")
    assert counted.match("1,200 nice cats of dogs") == ("1,200", "nice cats", "dogs")
    assert counted.match("many nice cats of dogs") is None
    percent = template("{}% there", "{0:n} % da")
    assert percent.match("81.2% there") == ("81.2",)


def test_a_text_with_very_many_ways_is_given_up():
    with pytest.raises(Ambiguous):
        template("{} {} {} {} {} {}x").match("a " * 2000 + "y x")


def test_places_without_anything_between_them_are_one():
    assert normalised(" a {}{}{} b {} ") == "a {} b {}"

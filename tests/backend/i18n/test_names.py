"""Names that people chose come through whole, whatever they are called: also like the sentences they stand in."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from backend.data.names import clean_name
from backend.i18n.languages import catalogue_of
from backend.i18n.template import NAME, NUMBER

GERMAN = catalogue_of("de")
TEMPLATES = sorted(GERMAN.sentences.values(), key=lambda template: template.english)
# Names made of pieces of the catalogue itself: quotes, full stops, whole sentences, words that have a translation.
PIECES = sorted({literal for template in TEMPLATES for literal in template.literals} | set(GERMAN.words))
NAMES = st.one_of(
    st.text(min_size=1, max_size=30).map(clean_name),  # as all names from outside are, so that none has two lines
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join),
    st.sampled_from(PIECES).flatmap(
        lambda piece: st.text("'`{}. ;,:ab", max_size=6).map(lambda text: f"{text}{piece}")
    ),
)
NUMBERS = st.sampled_from(["3", "1,200", "93.1%", "0.0012", "-0.5"])


@st.composite
def finished_sentences(draw, templates=TEMPLATES):
    """A sentence as the code makes it, and the names in it."""
    template = draw(st.sampled_from(templates))
    kinds = template.kinds
    text, names = template.literals[0], []
    for place, literal in enumerate(template.literals[1:]):
        if kinds[place] == NAME:
            value = draw(NAMES)
            names.append(value)
        else:
            value = draw(NUMBERS) if kinds[place] == NUMBER else draw(st.sampled_from(sorted(GERMAN.words)))
        text += f"{value}{literal}"
    return text, names


@settings(max_examples=400, deadline=None)
@given(finished_sentences())
def test_every_name_is_there_letter_by_letter(made):
    text, names = made
    said = GERMAN.translate(text)
    for name in names:
        assert name in said, (text, said)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(finished_sentences([one for one in TEMPLATES if one.english.endswith((".", "?"))]), min_size=2, max_size=3)
)
def test_also_where_sentences_stand_together(made):
    text = " ".join(sentence for sentence, _ in made)
    said = GERMAN.translate(text)
    for _, names in made:
        for name in names:
            assert name in said, (text, said)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_answered_and_never_refused(text):
    assert isinstance(GERMAN.translate(text), str)


def test_a_text_that_was_made_to_be_slow_is_given_up_early():
    bound = "Dataset 'x' is at version " + " and no longer at " * 200
    assert GERMAN.translate(bound) == bound
    quotes = "'" * 3000
    assert GERMAN.translate(f"There is no class {quotes}") == f"There is no class {quotes}"


def test_ordinary_names_do_not_keep_a_sentence_from_being_german():
    """That uncertain ones stay English is no excuse for the others."""
    english = []
    for template in GERMAN._templates:
        kinds = template.kinds
        values = ["93.1" if kinds[place] == NUMBER else f"Name{place}" for place in range(template.places)]
        text = template.literals[0] + "".join(
            f"{value}{literal}" for value, literal in zip(values, template.literals[1:], strict=True)
        )
        said = GERMAN.translate(text)
        expected = re.sub(r"\{(\d+)(?::t)?\}", lambda mark, values=values: values[int(mark[1])], template.other)
        expected = re.sub(r"\{\d+:n\}", "93,1", expected)
        if said not in (expected, expected.replace("}", "").replace("{", "")):
            english.append(text)
    # Where a number has a unit behind it, another reading takes both as a name.
    assert len(english) <= 3, english

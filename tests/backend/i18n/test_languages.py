import pytest

from backend.i18n.languages import LANGUAGES, catalogue_of, preferred


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (b"de", "de"),
        (b"DE", "de"),
        (b"de-AT", "de"),
        (b"de-DE,de;q=0.9,en;q=0.8", "de"),
        (b"en-GB,en;q=0.9,de;q=0.8", "en"),
        (b"de;q=0.3, en;q=0.7", "en"),
        (b"fr-CH, fr;q=0.9, de;q=0.7, en;q=0.5, *;q=0.1", "de"),
        (b"fr, *;q=0.1", "en"),
        (b"*", "en"),
        (b"*;q=0.1", "en"),
        (b"en;q=0, *", "de"),  # anything but English
        (b"de;q=0", "en"),
        (b"de;q=0, en;q=0", "en"),  # nothing fits: better English than nothing
        (b"de, en", "de"),  # equal: the first named
        (b"en, de", "en"),
        (b" de ; q = 0.5 ", "de"),
        (b"fr", "en"),
        (b"", "en"),
        (b";;;,,,=q", "en"),
        (b"de;q=2", "en"),
        (b"de;q=nan", "en"),
        (b"de;level=1", "en"),
        (b"\xff\xfe\x00", "en"),
        (b"xx," * 5000 + b"de", "en"),
        (b"deutsch", "en"),
    ],
)
def test_the_language_that_is_asked_for_most(header, language):
    assert preferred(header) == language


def test_english_needs_no_catalogue_and_every_other_language_has_one():
    assert catalogue_of("en") is None
    assert catalogue_of("xx") is None
    for language in LANGUAGES[1:]:
        assert len(catalogue_of(language).sentences) > 500

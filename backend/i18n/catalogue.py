"""The catalogue of one language: finds the sentence that a finished English text is, and says it in that language.

English is the form that is raised and stored, in whatever process; nobody but the edge knows of languages. Three rules
keep names whole: what stands in a place that is no text of the catalogue is taken over letter by letter; a text that
can be read in two ways which disagree about what is a name stays English; so does a text with a part that is unknown.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from backend.i18n.numbers import Numbers
from backend.i18n.template import NAME, NUMBER, TEXT, Ambiguous, Template

# Texts beyond that are no sentences; a problem's detail has 2,000 characters at most.
LONGEST = 4000
DEEPEST = 4  # sentences within places within places
MOST_PIECES = 24
REMEMBERED = 4096
# Where one sentence may end and the next begin, where an enumeration goes on, and, last, between any two words.
_SENTENCES = re.compile(r"(?<=[.!?:;])\s+(?=\S)")
_ENUMERATION = re.compile(r"(?=[,;] )|(?<=[,;]) ")
_WORDS = re.compile(r" (?=\S)")
WORDS_FILE = "words.json"


@dataclass(frozen=True)
class Reading:
    """A text in the other language, the names that were taken over, and how many characters were known."""

    text: str
    names: tuple[str, ...] = ()
    weight: int = 0


class Catalogue:
    """All templates of one language. Thread-safe; what was asked lately is remembered."""

    def __init__(self, sentences: dict[str, str], words: dict[str, str], numbers: Numbers) -> None:
        """`words` are said in places alone: by themselves they may be values that programs compare with."""
        self.sentences = {english: Template(english, other) for english, other in sentences.items()}
        self._templates = [_without_tail(template) for template in self.sentences.values()]
        self.words = words
        self._numbers = numbers
        self._by_start: dict[str, list[Template]] = defaultdict(list)
        self._anywhere: list[Template] = []
        for template in self._templates:
            start = _first_word(template.literals[0], whole=template.places == 0)
            (self._by_start[start] if start else self._anywhere).append(template)
        self.translate = lru_cache(REMEMBERED)(self._translate)

    def _translate(self, text: str) -> str:
        """The text in the other language; as it is where it is unknown or not certain."""
        if not text or len(text) > LONGEST:
            return text
        if "\n" in text:  # no name holds the end of a line, so that each line is a text by itself
            return "\n".join(map(self.translate, text.split("\n")))
        try:
            reading = _surest(self._whole(text, 0), self._pieces(text, _SENTENCES, 0))
            reading = reading or self._pieces(text, _ENUMERATION, 0)
        except Ambiguous:
            return text
        return reading.text if reading else text

    def _whole(self, text: str, depth: int) -> Reading | None:
        """The text as one sentence of the catalogue; None where it is none.

        Raises:
            Ambiguous: it is one, and what is a name in it is not certain.
        """
        if depth > DEEPEST:
            return None
        found: list[tuple[int, Reading]] = []
        doubtful = 0
        for template in self._candidates(text):
            try:
                values = template.match(text)
            except Ambiguous:
                doubtful = max(doubtful, template.weight)
                continue
            if values is not None:
                found.append((template.weight, self._said(template, values, depth)))
        if not found and not doubtful:
            return None
        weight, best = max(found, key=lambda pair: pair[0], default=(0, Reading("")))
        # The heaviest says most of the text. If a lighter one is what was meant after all, its names must be whole too.
        if doubtful > weight or not all(name in best.text for _, other in found for name in other.names):
            raise Ambiguous
        return best

    def _said(self, template: Template, values: tuple[str, ...], depth: int) -> Reading:
        out: list[str] = []
        names: list[str] = []
        weight = template.weight
        for part in template.parts:
            if isinstance(part, str):
                out.append(part)
                continue
            place, kind = part
            said = self._in_place(values[place], kind, depth)
            out.append(said.text)
            names += said.names
            weight += said.weight
        return Reading("".join(out), tuple(names), weight)

    def _in_place(self, text: str, kind: str, depth: int) -> Reading:
        if kind == NAME:
            return Reading(text, (text,))
        number = self._numbers.said(text)
        if number is not None:
            return Reading(number)
        core = text.strip()
        if kind == NUMBER or not core:
            return Reading(text)
        try:
            known = self._known(core, depth + 1)
        except Ambiguous:
            known = None
        if known is None:
            return Reading(text)
        before, _, after = text.partition(core)
        return Reading(f"{before}{known.text}{after}", known.names, known.weight)

    def _known(self, text: str, depth: int) -> Reading | None:
        """A text in a place: a sentence, a word, several of them, or a sentence without its full stop."""
        if depth > DEEPEST:
            return None
        found = _surest(self._phrase(text, depth), self._pieces(text, _SENTENCES, depth))
        for ends in (_ENUMERATION, _WORDS):
            found = found or self._pieces(text, ends, depth)
        if found is None and text[-1].isalnum() and (stopped := self._whole(f"{text}.", depth)):
            found = Reading(stopped.text.removesuffix("."), stopped.names, stopped.weight)
        return found

    def _phrase(self, text: str, depth: int) -> Reading | None:
        if text in self.words:
            return Reading(self.words[text], weight=len(text))
        if (number := self._numbers.said(text)) is not None:
            return Reading(number)
        found = self._whole(text, depth)
        if found is None and text[0].isupper():  # the start of a sentence that another one begins
            lower = text[0].lower() + text[1:]
            found = Reading(self.words[lower]) if lower in self.words else self._whole(lower, depth)
            found = found and Reading(found.text[0].upper() + found.text[1:], found.names, found.weight)
        return found

    def _pieces(self, text: str, ends: re.Pattern[str], depth: int) -> Reading | None:
        """The text as several of them, the longest that can be first; None where any part is unknown."""
        cuts = [0, *dict.fromkeys(place for match in ends.finditer(text) for place in match.span()), len(text)]
        cuts = sorted(set(cuts))
        if not 2 < len(cuts) <= MOST_PIECES * 2:
            return None
        longest = self._cut(text, cuts, depth, longest=True)
        return longest and _surest(longest, self._cut(text, cuts, depth, longest=False))

    def _cut(self, text: str, cuts: list[int], depth: int, *, longest: bool) -> Reading | None:
        """A way from the first cut to the last, of known parts and of what stands between them."""
        ways: dict[int, Reading] = {len(text): Reading("")}
        for place in range(len(cuts) - 2, -1, -1):
            begin = cuts[place]
            ends = [end for end in cuts[place + 1 :] if end in ways]
            for end in reversed(ends) if longest else ends:
                part = text[begin:end]
                if not part.strip(" ,;"):
                    said: Reading | None = Reading(part)
                elif part != part.strip() or part == text:
                    continue
                else:
                    said = self._phrase(part, depth) if depth else self._whole(part, depth)
                if said is not None:
                    rest = ways[end]
                    ways[begin] = Reading(said.text + rest.text, said.names + rest.names, said.weight + rest.weight)
                    break
        return ways.get(0)

    def _candidates(self, text: str) -> Iterator[Template]:
        word = _first_word(text, whole=True)
        for template in (*self._by_start.get(word, ()), *self._anywhere):
            if template.anchor in text:
                yield template


def _surest(reading: Reading | None, other: Reading | None) -> Reading | None:
    """The reading that knows more of the text, or the only one.

    Raises:
        Ambiguous: the other one has a name that is not whole in it.
    """
    if reading is None or other is None:
        return reading or other
    more, less = (reading, other) if reading.weight >= other.weight else (other, reading)
    if all(name in more.text for name in less.names):
        return more
    raise Ambiguous


def _without_tail(template: Template) -> Template:
    """The template without a text of the catalogue behind its full stop: that is read as a sentence of its own."""
    tail = f"{{{template.places - 1}:{TEXT}}}"
    if template.english.endswith((". {}", ".{}", "?{}")) and template.other.endswith(tail):
        return Template(template.english[:-2].rstrip(), template.other.removesuffix(tail).rstrip())
    return template


def _first_word(text: str, *, whole: bool) -> str:
    """The first word, where it is certain that nothing can be added to it."""
    word, space, _ = text.partition(" ")
    return word if space or whole else ""


def read_catalogue(folder: Path, numbers: Numbers) -> Catalogue:
    """Read a language's folder: a file for each room, and the words of places.

    Raises:
        ValueError: a sentence stands in two files.
    """
    files = sorted(path for path in folder.glob("*.json") if path.name != WORDS_FILE)
    sentences = _joined(json.loads(path.read_text(encoding="utf-8")) for path in files)
    return Catalogue(sentences, json.loads((folder / WORDS_FILE).read_text(encoding="utf-8")), numbers)


def _joined(files: Iterable[dict[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in files:
        if twice := found.keys() & one.keys():
            raise ValueError(f"twice in the catalogue: {sorted(twice)}")
        found |= one
    return found

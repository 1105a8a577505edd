"""The answer for one picture: names with bars, whether the picture is familiar, what the network looked at."""

from __future__ import annotations

import base64
import binascii
from html import escape
from typing import NamedTuple

import streamlit as st

from frontend import state
from frontend.answers import ExplanationAnswer, HeatmapEvidence, LabelConfidence, ModelAnswer, PredictionAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.label_answers import ThresholdQuery
from frontend.widgets import honesty, pictures, problems
from frontend.widgets.similar_images import show_similar
from frontend.widgets.wording import percent, plain

SURE, HALF_SURE = 0.8, 0.5
GREEN, AMBER, GREY = "#009E73", "#E69F00", "#8A8F98"


class Picture(NamedTuple):
    """A picture to be named: its number on the page, what it is called, and its bytes as they came."""

    number: int
    name: str
    data: bytes


class Question(NamedTuple):
    """What is asked about one picture; the cache's key."""

    base_url: str
    language: str
    model_id: str
    image: bytes
    top_k: int
    explain: bool
    cost_ratio: float | None = None


@st.cache_data(ttl=3600, max_entries=64, show_spinner=False)
def ask(_api: Client, question: Question) -> PredictionAnswer:
    """Ask once for each picture, model and choice; drawing the page again costs nothing."""
    ratio = question.cost_ratio
    asked: ThresholdQuery | None = None if ratio is None else {"miss_cost": ratio, "false_alarm_cost": 1.0}
    return _api.predict(question.model_id, question.image, top_k=question.top_k, explain=question.explain, asked=asked)


@st.cache_data(ttl=3600, max_entries=64, show_spinner=False)
def ask_why(_api: Client, question: Question, class_name: str) -> ExplanationAnswer:
    """The heat map for one class, once."""
    return _api.explain(question.model_id, question.image, class_name=class_name)


def show_answer(api: Client, model: ModelAnswer, picture: Picture, *, top_k: int, explain: bool) -> None:
    """One card; a picture that the API refuses shows its reason and leaves the other cards alone."""
    ratio = state.cost_ratio(model["model_id"]) if model.get("task") == "multilabel" else None
    question = Question(api.base_url, api.language, model["model_id"], picture.data, top_k, explain, ratio)
    try:
        with st.spinner(t("predict.working", name=plain(picture.name))):
            answer = ask(api, question)
    except ApiError as error:
        st.markdown(f"**{plain(picture.name)}**")
        problems.show_problem(error)
        return
    long = pictures.is_long(picture.data)
    words, looks = (st.container(), st.container()) if long else st.columns([2, 3], gap="large")
    with words:
        show_words(answer, picture.name)
        honesty.explain_confidence(model, answer)
        honesty.say_familiarity(model, answer)
        show_similar(api, model, answer)
    with looks:
        st.fragment(Looks(api, model, picture, question, answer).show)()


def show_words(answer: PredictionAnswer, name: str) -> None:
    """The label and its bars, or all labels that are present."""
    st.caption(plain(name))
    st.subheader(_what(answer["predictions"]), anchor=False)
    st.html(bars(answer["predictions"]))
    st.caption(t("predict.latency", time=round(answer["latency_ms"])))


def _what(predictions: list[LabelConfidence]) -> str:
    """The answer in a line: the likeliest class, or all labels that are present."""
    best = predictions[0]
    if best.get("present") is None:
        return f"{plain(best['label'])} · {percent(best['confidence'])}"
    there = [plain(one["label"]) for one in predictions if one.get("present")]
    return ", ".join(there) or t("predict.nothing")


def bars(predictions: list[LabelConfidence]) -> str:
    """Confidence bars as HTML; each says its number, so that colour is never the only sign."""
    return "".join(_bar(entry) for entry in predictions)


def colour(confidence: float) -> str:
    if confidence >= SURE:
        return GREEN
    return AMBER if confidence >= HALF_SURE else GREY


class Looks(NamedTuple):
    """The picture, and beside it the heat map, laid over as strongly as the slider says. Redraws itself alone."""

    api: Client
    model: ModelAnswer
    picture: Picture
    question: Question
    answer: PredictionAnswer

    def show(self) -> None:
        name = self.picture.name
        original, (overlay, test) = pictures.for_screen(self.picture.data), self._heatmap()
        if original is None:
            st.caption(t("predict.no_preview"))
            return
        if overlay is None:
            st.image(
                original,
                width="stretch" if pictures.is_long(self.picture.data) else 280,
                alt=t("predict.original_alt", name=name),
            )
            return
        below = pictures.is_long(self.picture.data)  # a strip at half the page's width shows no defect
        left, right = (st.container(), st.container()) if below else st.columns(2, wrap=False)
        strength = st.slider(
            t("predict.strength"), 0, 100, 100, format=t("format.whole_percent"), key=f"strength-{self.picture.number}"
        )
        mixed = pictures.blend(self.picture.data, overlay, share=strength / 100) or overlay
        left.image(original, width="stretch", caption=t("predict.original"), alt=t("predict.original_alt", name=name))
        right.image(mixed, width="stretch", caption=t("predict.heatmap"), alt=t("predict.heatmap_alt", name=name))
        honesty.say_evidence(test)

    def _heatmap(self) -> tuple[bytes | None, HeatmapEvidence | None]:
        """The heat map that came with the answer, or the one for another class where a person asks for it."""
        encoded = self.answer.get("heatmap_png")
        if not encoded:
            return None, None
        given = _decoded(encoded), self.answer.get("heatmap")
        best = self.answer["predictions"][0]["label"]
        names = [best, *(name for name in self.model["class_names"] if name != best)]
        key = f"why-{self.picture.number}-{self.model['model_id']}"
        wanted = st.selectbox(t("predict.why"), names, key=key)
        if wanted in (None, best):
            return given
        try:
            why = ask_why(self.api, self.question, wanted)
        except ApiError as error:
            problems.show_problem(error)
            return given
        return _decoded(why["heatmap_png"]), why["heatmap"]


def _decoded(encoded: str) -> bytes | None:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return None


def _bar(entry: LabelConfidence) -> str:
    share = percent(entry["confidence"])
    label, shade = escape(entry["label"]), colour(entry["confidence"])
    if entry.get("present") is not None:  # the mark says it, not the colour alone
        shade = GREEN if entry["present"] else GREY
        share = f"{'✓ ' + t('predict.there') + ' · ' if entry['present'] else ''}{share}"
        label = f"<strong>{label}</strong>" if entry["present"] else label
    return (
        f'<div role="img" aria-label="{escape(entry["label"], quote=True)}: {share}" style="margin:0 0 0.6rem">'
        '<div style="display:flex;justify-content:space-between;gap:1rem;font-size:0.9rem">'
        f'<span style="overflow-wrap:anywhere">{label}</span>'
        f'<span style="font-variant-numeric:tabular-nums">{share}</span></div>'
        '<div style="height:0.6rem;border-radius:0.3rem;background:rgba(128,128,128,0.2)">'
        f'<div style="height:100%;width:{100 * entry["confidence"]:.1f}%;border-radius:0.3rem;'
        f'background:{shade}"></div></div></div>'
    )

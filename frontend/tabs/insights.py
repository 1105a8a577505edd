"""Insights: what a dataset holds and what may be wrong with it, with pictures to correct. Knows nothing of training."""

from __future__ import annotations

from collections import Counter

import streamlit as st

from frontend import state
from frontend.answers import DatasetAnswer
from frontend.client import Client
from frontend.i18n import t, written
from frontend.insight_answers import InsightsAnswer, IssueNote, SpreadAnswer
from frontend.widgets import charts, copies, corrections, frame, gallery, insight_charts, problems
from frontend.widgets.wording import name_of, plain

# Seconds between two looks at whether the check has ended; it takes seconds.
LOOK_S = 2.0
# Kinds that are no list of images of the dataset.
OF_FILES, OF_CLASSES = "corrupt", "small_classes"
KIND_CONTROL = "issue-kind"


def render(api: Client) -> None:
    """Draw the tab for the dataset of the URL."""
    chosen = state.dataset_id()
    if chosen is None:
        problems.first_do(
            t("insights.first_upload"), button=t("train.go_upload"), action=lambda: state.open_tab(state.UPLOAD)
        )
        return
    dataset, insights = api.dataset(chosen), api.insights(chosen)
    headline(dataset, insights)
    issues(api, dataset, insights)
    corrections.bar(api, dataset)
    shape(insights)
    gallery.show(api, dataset)


def headline(dataset: DatasetAnswer, insights: InsightsAnswer) -> None:
    """What there is, in one sentence, and the next action."""
    st.header(plain(dataset["name"]), anchor=False)
    ratio = written(insights["imbalance_ratio"], ".1f")
    even = ratio == written(1.0, ".1f")
    words = t(
        "insights.summary_even" if even else "insights.summary",
        images=insights["total_images"],
        classes=insights["num_classes"],
        ratio=ratio,
    )
    st.markdown(words)
    st.button(
        t("upload.next"),
        key="insights-go-train",
        type="primary",
        icon=":material/arrow_forward:",
        on_click=state.open_tab,
        args=(state.TRAIN,),
    )


def issues(api: Client, dataset: DatasetAnswer, insights: InsightsAnswer) -> None:
    """What may be wrong: kinds to choose from, advice, and the pictures."""
    st.subheader(t("insights.issues"), anchor=False)
    if insights["quality"] == "unavailable":
        st.markdown(t("insights.unavailable"))
        if st.button(t("insights.check"), key="insights-check", icon=":material/search:"):
            api.start_check(dataset["dataset_id"])
            state.rerun()
        return
    if insights["quality"] == "pending":
        st.fragment(_wait, run_every=LOOK_S)(api, dataset["dataset_id"])
    notes = {note["kind"]: note for note in insights["notes"]}
    if not notes:
        if insights["quality"] == "checked":
            st.markdown(t("insights.no_issues"))
        return
    chosen = state.issue_kind()
    kind = chosen if chosen in notes else next(iter(notes))
    state.mirror(KIND_CONTROL, kind)
    st.segmented_control(
        t("insights.kind"),
        list(notes),
        key=KIND_CONTROL,
        format_func=lambda name: f"{name_of('issue', name)} · {written(notes[name]['images'], ',')}",
        on_change=lambda: state.choose_issue_kind(state.value_of(KIND_CONTROL)),
        label_visibility="collapsed",
        required=True,
    )
    _issue(api, dataset, insights, notes[kind])


def _wait(api: Client, dataset_id: str) -> None:
    """Look again until the check has ended, then draw the page anew."""
    st.caption(f":material/hourglass_top: {t('insights.pending')}")
    if api.insights(dataset_id)["quality"] != "pending":
        state.redraw()


def _issue(api: Client, dataset: DatasetAnswer, insights: InsightsAnswer, note: IssueNote) -> None:
    kind = note["kind"]
    st.markdown(note["advice"])
    listed = insights["issues"][kind]
    if kind == OF_FILES:
        columns = {"file": t("upload.skipped_file"), "reason": t("upload.skipped_reason")}
        st.dataframe([{columns[name]: one[name] for name in columns} for one in listed], hide_index=True)
        return
    if kind == OF_CLASSES:
        st.markdown(
            "\n".join(f"- {plain(name)}: {written(insights['class_counts'].get(name, 0), ',')}" for name in listed)
        )
        return
    if note["listed"] < note["images"]:
        st.caption(t("insights.listed", listed=note["listed"], images=note["images"]))
    if kind in copies.KINDS:
        copies.keep_one(dataset, insights, kind)
    asked = gallery.Asked(None, kind, "issue", groups=copies.groups(insights, kind), all_out=kind not in copies.KINDS)
    gallery.images(api, dataset, asked)


def shape(insights: InsightsAnswer) -> None:
    """Counts, sizes, light and formats as charts."""
    st.subheader(t("upload.counts"), anchor=False)
    charts.draw(charts.class_counts(insights["class_counts"]), key="insight-classes", alt=t("upload.counts_alt"))
    together(insights)
    sizes(insights)
    if insights["light"]:
        st.subheader(t("insights.light"), anchor=False)
        columns = st.columns(len(insights["light"]))
        for column, (name, spread) in zip(columns, insights["light"].items(), strict=True):
            with column:
                figure = insight_charts.histogram(spread, axis=name_of("measure", name))
                charts.draw(figure, key=f"insight-{name}", alt=t("insights.light_alt", name=name_of("measure", name)))
                far_above(spread)
        st.caption(
            t("insights.formats", formats=_counted(insights["formats"]), modes=_counted(_modes(insights["modes"])))
        )


def sizes(insights: InsightsAnswer) -> None:
    """How large the images are; a sentence says it where all are alike."""
    st.subheader(t("insights.sizes"), anchor=False)
    width, height = insights["dimensions"]["width"], insights["dimensions"]["height"]
    least, most = _by(width["min"], height["min"]), _by(width["max"], height["max"])
    if least == most:
        st.caption(t("insights.one_size", size=least))
        return
    st.caption(t("insights.sizes_text", width=width["median"], height=height["median"], least=least, most=most))
    left, right = st.columns(2)
    with left:
        charts.draw(insight_charts.sizes(insights["sizes"]), key="insight-sizes", alt=t("insights.sizes_alt"))
    with right:
        aspect = insight_charts.histogram(insights["dimensions"]["aspect_ratio"], axis=t("insights.aspect"))
        charts.draw(aspect, key="insight-aspect", alt=t("insights.aspect_alt"))
        far_above(insights["dimensions"]["aspect_ratio"])


def far_above(spread: SpreadAnswer) -> None:
    """Below a histogram: what its grey bar is, where it has one."""
    if note := insight_charts.far_above_note(spread):
        st.caption(note)


def together(insights: InsightsAnswer) -> None:
    """Which labels stand on the same images, where an image may have several."""
    per_image = insights.get("labels_per_image") or {}
    if not per_image:
        return
    st.subheader(t("insights.together"), anchor=False)
    parts = [
        t("insights.per_image", count=int(labels), images=images)
        if int(labels)
        else t("insights.per_image_none", count=images)
        for labels, images in per_image.items()
    ]
    st.markdown(", ".join(parts) + ".")
    pairs = insights.get("label_pairs") or []
    if not pairs:
        st.caption(t("insights.never_together"))
        return
    rows = [
        {
            t("insights.pair"): " + ".join(pair["labels"]),
            t("column.support"): pair["images"],
            t("insights.by_chance"): round(pair["by_chance"], 1),
        }
        for pair in pairs
    ]
    frame.show(rows, alt=t("insights.together"))
    st.caption(t("insights.together_help"))


def _modes(counts: dict[str, int]) -> dict[str, int]:
    """Pillow's names of how colours are kept, in words; those that say the same are one."""
    named: Counter[str] = Counter()
    for mode, count in counts.items():
        named[name_of("mode", "I;16" if mode.startswith("I;16") else mode)] += count
    return dict(named.most_common())


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{plain(name)} ({written(count, ',')})" for name, count in counts.items())


def _by(width: float, height: float) -> str:
    return f"{written(width, 'g')} × {written(height, 'g')}"

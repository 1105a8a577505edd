"""A dataset's versions: who changed what and when, how two differ, what is left out, and adding pictures."""

from __future__ import annotations

from typing import BinaryIO, cast

import streamlit as st

from frontend import state
from frontend.answers import DatasetAnswer
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.version_answers import ChangedImage, ImageAnswer, VersionAnswer
from frontend.widgets import corrections, frame, problems, retrain
from frontend.widgets.picture_choice import file_name
from frontend.widgets.pictures import show_row
from frontend.widgets.wording import plain

MOST_SHOWN = 24


def render(api: Client, dataset: DatasetAnswer, *, most_mb: int) -> None:
    """Draw everything about versions of a dataset; `most_mb` is what the browser may send at once."""
    corrections.bar(api, dataset)
    with st.expander(t("versions.add"), icon=":material/add_photo_alternate:"):
        _add(api, dataset, most_mb)
    history = dataset.get("versions", [])
    if len(history) > 1:
        with st.expander(t("versions.title", count=len(history)), icon=":material/history:"):
            _history(history)
            _difference(api, dataset, history)
            retrain.button(api, dataset["dataset_id"], key="retrain-versions")
    if dataset.get("excluded_images"):
        with st.expander(t("versions.excluded", count=dataset["excluded_images"]), icon=":material/visibility_off:"):
            _excluded(api, dataset)


def _add(api: Client, dataset: DatasetAnswer, most_mb: int) -> None:
    st.caption(t("versions.add_help"))
    most = min(most_mb, api.options()["limits"]["max_upload_mb"])
    file = st.file_uploader(t("versions.add_drop", limit=most), key=f"add-{state.upload_key()}", max_upload_size=most)
    if file is None:
        return
    refusal = state.refusal_of(file.file_id)
    if refusal is None:
        refusal = _send(api, dataset, cast(BinaryIO, file), file.name)
        state.remember_refusal(file.file_id, refusal)
    problems.show_detail(refusal)


def _send(api: Client, dataset: DatasetAnswer, file: BinaryIO, name: str) -> str:
    """Add the pictures and draw anew; returns only where the API refused, with the reason."""
    with st.spinner(t("upload.working", name=plain(name))):
        try:
            new = api.add_images(dataset["dataset_id"], file, name)
        except ApiError as error:
            return error.detail
    state.clear_upload()
    state.remember_change(dataset["dataset_id"], new["version"])
    state.rerun()
    return ""


def _history(history: list[VersionAnswer]) -> None:
    rows = [
        {
            t("versions.number"): one["version"],
            t("versions.when"): frame.moment(one["created_at"]),
            t("versions.what"): said(one),
            t("versions.images"): one["total_images"],
            t("versions.who"): one["author"],
        }
        for one in reversed(history)
    ]
    if not any(one["author"] for one in history):  # no keys, and nobody said who they are
        for row in rows:
            del row[t("versions.who")]
    frame.show(rows, alt=t("versions.title", count=len(history)))


def said(change: VersionAnswer) -> str:
    """What made a version, in a few words."""
    if change["kind"] == "upload":
        return t("versions.uploaded", count=change["added"])
    counts = {
        "added": change["added"],
        "excluded": change["excluded"],
        "restored": change["restored"],
        "relabelled": change["relabelled"],
    }
    parts = [t(f"versions.{name}_count", count=count) for name, count in counts.items() if count]
    if change["new_classes"]:
        parts.append(t("versions.new_classes", names=", ".join(change["new_classes"])))
    if change["dropped_classes"]:
        parts.append(t("versions.dropped_classes", names=", ".join(change["dropped_classes"])))
    return ", ".join(parts)


def _difference(api: Client, dataset: DatasetAnswer, history: list[VersionAnswer]) -> None:
    """The pictures by which two versions differ."""
    numbers = [one["version"] for one in history]
    left, right = st.columns(2)
    with left:
        earlier = st.selectbox(t("versions.from"), numbers[:-1], index=len(numbers) - 2, key=f"diff-from-{numbers[-1]}")
    with right:
        later = st.selectbox(
            t("versions.to"),
            [one for one in numbers if one > earlier],
            index=None,
            key=f"diff-to-{numbers[-1]}",
            placeholder=t("versions.newest"),
        )
    try:
        found = api.difference(dataset["dataset_id"], earlier, later or numbers[-1])
    except ApiError as error:
        problems.show_problem(error)
        return
    groups = {
        "added": found["added"],
        "excluded": found["excluded"],
        "restored": found["restored"],
        "relabelled": found["relabelled"],
    }
    for name, images in groups.items():
        if images:
            words = t(f"versions.{name}_count", count=found["counts"][name])
            st.markdown(f"**{words[0].upper()}{words[1:]}**")
            shown = images[:MOST_SHOWN]
            captions = [with_file(_labels(one), one) for one in shown]
            show_row(
                api,
                [_address(dataset, one["image_id"]) for one in shown],
                alt=captions,
                captions=[plain(caption) for caption in captions],
            )


def _labels(image: ChangedImage) -> str:
    """What an image is called, and what it was called before."""
    return " → ".join(" + ".join(labels) for labels in (image["before"], image["labels"]) if labels)


def with_file(words: str, image: ChangedImage | ImageAnswer) -> str:
    """What is said of an image, and its name in the upload; its id where that is unknown."""
    return f"{words} · {file_name(image.get('file') or image['image_id'])}"


def _excluded(api: Client, dataset: DatasetAnswer) -> None:
    page = api.images(dataset["dataset_id"], excluded=True, limit=MOST_SHOWN)
    names = {one["image_id"]: with_file(one["label"] or t("gallery.unlabelled"), one) for one in page["images"]}
    show_row(
        api,
        [_address(dataset, image_id) for image_id in names],
        alt=list(names.values()),
        captions=[plain(label) for label in names.values()],
    )
    if page["total"] > len(names):
        st.caption(t("versions.more_excluded", count=page["total"] - len(names)))
    chosen = st.multiselect(
        t("versions.restore_which"),
        list(names),
        key="restore-which",
        format_func=names.__getitem__,
        placeholder=t("versions.restore_all"),
    )
    if st.button(t("versions.restore"), key="restore", icon=":material/undo:"):
        corrections.send(api, dataset, {"restore": chosen or list(names)})


def _address(dataset: DatasetAnswer, image_id: str) -> str:
    return f"/api/cv/datasets/{dataset['dataset_id']}/images/{image_id}?size=96"

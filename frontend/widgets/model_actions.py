"""Promote, roll back, put aside, delete: each asked about once more, with what is known of both models in words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from frontend import state
from frontend.client import ApiError, Client
from frontend.i18n import t
from frontend.registry_answers import CardAnswer
from frontend.table_answers import TableCard
from frontend.table_client import Tables
from frontend.widgets import problems
from frontend.widgets.wording import plain

PROMOTE, ROLLBACK, ARCHIVE, RESTORE, DELETE = "promote", "rollback", "archive", "restore", "delete"
ICONS = {
    PROMOTE: ":material/star:",
    ROLLBACK: ":material/undo:",
    ARCHIVE: ":material/archive:",
    RESTORE: ":material/unarchive:",
    DELETE: ":material/delete:",
}


Compared = Callable[[str], None]


def show(api: Client, model: CardAnswer) -> None:
    """Draw what can be done to a model of pictures, with what is known of it and its rival."""
    draw(api, model, compared=lambda verb: _comparison(api, model, verb))


def draw(registry: Client | Tables, model: CardAnswer | TableCard, *, compared: Compared, key: str = "model") -> None:
    """Draw what can be done to a model in its state, and the question where something was asked for.

    Buttons' keys begin with `key`, for a page may show two models. `compared` draws what is known of the model beside
    the one whose place it takes, before a promotion or a rollback.
    """
    model_id = model["model_id"]
    with st.container(horizontal=True):
        for verb in possible(model):
            st.button(
                t(f"action.{verb}"),
                key=f"{key}-{verb}",
                icon=ICONS[verb],
                help=t(f"action.{verb}_help"),
                on_click=partial(state.ask_for, verb, model_id),
            )
    asked = state.asked_for(model_id)
    if asked in possible(model):
        _confirm(registry, model, asked, compared=compared, key=key)


def told() -> str | None:
    """What the last press of a button did, once."""
    return state.told()


def possible(model: CardAnswer | TableCard) -> list[str]:
    """What makes sense for a model now."""
    if model["state"] == "promoted":
        return [ROLLBACK] if model["rollback_to"] else []
    return [RESTORE, DELETE] if model["state"] == "archived" else [PROMOTE, ARCHIVE, DELETE]


def _confirm(
    registry: Client | Tables, model: CardAnswer | TableCard, verb: str, *, compared: Compared, key: str
) -> None:
    model_id = model["model_id"]
    with st.container(border=True):
        st.markdown(f"**{t(f'ask.{verb}', model=model_id, back=model['rollback_to'])}**")
        if verb in (PROMOTE, ROLLBACK):
            compared(verb)
        with st.container(horizontal=True):
            sure = st.button(t(f"sure.{verb}"), key=f"{key}-sure", type="primary", icon=ICONS[verb])
            st.button(t("ask.no"), key=f"{key}-not", on_click=partial(state.ask_for, None, model_id))
    if sure:
        _do(registry, model, verb)


def _comparison(api: Client, model: CardAnswer, verb: str) -> None:
    """What is known of the model beside the one whose place it takes, or which takes its place."""
    other = model["rollback_to"] if verb == ROLLBACK else _promoted(api, model)
    if other is None:
        st.caption(t("ask.nobody_promoted"))
        return
    try:
        known = api.comparison(model["model_id"], other)
    except ApiError as error:
        if error.status != 404:
            raise
        st.markdown(t("ask.not_compared", model=model["model_id"], other=other))
        if st.button(t("ask.compare"), key="model-compare", icon=":material/compare_arrows:"):
            _compare(api, model["model_id"], other)
        return
    st.markdown(plain(known["headline"]))
    st.markdown(plain(known["by_class"]))
    for note in known["notes"]:
        st.caption(plain(note))
    st.caption(t("ask.roles", challenger=model["model_id"], champion=other))


def _promoted(api: Client, model: CardAnswer) -> str | None:
    models = api.registered_models(dataset_id=model["dataset_id"])
    return next((one["model_id"] for one in models if one["state"] == "promoted"), None)


def _compare(api: Client, model_id: str, other: str) -> None:
    try:
        job = api.start_comparison(model_id, other)
    except ApiError as error:
        problems.show_problem(error)
    else:
        st.info(t("champion.queued", job=job["job_id"]), icon=":material/hourglass:")


def _do(registry: Client | Tables, model: CardAnswer | TableCard, verb: str) -> None:
    """Do it and draw anew; where the API refuses, its reason stays on the page."""
    model_id = model["model_id"]
    try:
        if verb == DELETE:
            registry.delete_model(model_id)
        elif verb in (PROMOTE, ROLLBACK):
            with st.spinner(t("download.promoting")):
                registry.change_model(model_id, verb)
        else:
            registry.change_model(model_id, verb)
    except ApiError as error:
        problems.show_problem(error)
        return
    state.ask_for(None, model_id)
    state.tell_later(t(f"done.{verb}", model=model_id, back=model["rollback_to"]))
    state.rerun()

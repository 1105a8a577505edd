"""Models: what there is, which one answers, whether it still fits what comes in. Knows nothing of how they learn."""

from __future__ import annotations

import streamlit as st

from frontend import state
from frontend.client import Client
from frontend.i18n import t
from frontend.registry_answers import CardAnswer, RegisteredAnswer
from frontend.widgets import audit_trail, drift, model_actions, problems, promotions, table_models
from frontend.widgets.downloads import download_buttons
from frontend.widgets.model_table import dataset_of, entry, interval, model_table, state_of, title
from frontend.widgets.wording import percent, plain, shares, when

OF_DATASET, ALL = "dataset", "all"


def render(api: Client) -> None:
    """Draw the tab: the models of the chosen dataset or of all, one of them in full."""
    chosen = state.dataset_id()
    dataset_id = chosen if chosen is not None and _scope() == OF_DATASET else None
    models = api.registered_models(dataset_id=dataset_id)
    of_tables = api.tables.registered_models(dataset_id=None) if dataset_id is None else []
    if of_tables and not models:
        table_models.show(api, of_tables)
        _trail(api, None)
        return
    if not models:
        if dataset_id is not None:
            api.dataset(dataset_id)  # a stale link is said; models of a dataset that was deleted are still shown
        _nothing_yet(dataset_id)
        return
    names = {dataset["dataset_id"]: dataset["name"] for dataset in api.datasets()}
    st.header(t("models.title", count=len(models)), anchor=False)
    st.caption(_who_answers(api, models))
    told = state.told()
    if told:
        st.success(plain(told), icon=":material/check_circle:")
    model_table(models, names)
    model = api.model_card(_chosen(models, names))
    _card(api, model, names)
    drift.show(api, model)
    with st.expander(t("models.history"), icon=":material/history:"):
        promotions.show(api.promotions(model["model_id"]))
    if of_tables:
        table_models.show(api, of_tables)
    _trail(api, dataset_id)


def _trail(api: Client, dataset_id: str | None) -> None:
    with st.expander(t("audit.title"), icon=":material/fact_check:"):
        audit_trail.show(api, dataset_id)


def _scope() -> str:
    """Whose models: those of the dataset that is chosen, or of all."""
    scope = st.segmented_control(
        t("models.scope"),
        [OF_DATASET, ALL],
        format_func=lambda name: t(f"models.scope.{name}"),
        default=OF_DATASET,
        required=True,
        key="models-scope",
        label_visibility="collapsed",
    )
    return str(scope)


def _nothing_yet(dataset_id: str | None) -> None:
    if dataset_id is None:
        problems.first_do(
            t("models.first_upload"), button=t("train.go_upload"), action=lambda: state.open_tab(state.UPLOAD)
        )
    else:
        problems.first_do(
            t("models.first_train"), button=t("models.go_train"), action=lambda: state.open_tab(state.TRAIN)
        )


def _who_answers(api: Client, models: list[RegisteredAnswer]) -> str:
    default = api.health()["default_model"]
    known = next((model for model in models if model["model_id"] == default), None)
    if known is not None:
        return t("models.default", name=title(known), model=default)
    return t("models.default_elsewhere", model=default) if default else t("models.no_default")


def _chosen(models: list[RegisteredAnswer], names: dict[str, str]) -> str:
    """The model that is shown in full: the promoted one until another is chosen."""
    by_id = {model["model_id"]: model for model in models}
    promoted = [model["model_id"] for model in models if model["state"] == "promoted"]
    first = (promoted or list(by_id))[0]
    if len(models) == 1:
        return first
    chosen = st.selectbox(
        t("models.choose"),
        list(by_id),
        index=list(by_id).index(first),
        format_func=lambda model_id: entry(by_id[model_id], names),
        key="models-chosen",
    )
    return chosen if chosen in by_id else first


def _card(api: Client, model: CardAnswer, names: dict[str, str]) -> None:
    with st.container(border=True):
        st.subheader(f"{title(model)} · {state_of(model)}", anchor=False)
        st.markdown("\n".join(f"- {line}" for line in _facts(model, names)))
        model_actions.show(api, model)
        st.markdown(f"**{t('models.take_home')}**")
        with st.container(horizontal=True):
            download_buttons(
                api, model["model_id"], model["name"], checkpoint="checkpoint" in model.get("downloads", {})
            )
        with st.expander(t("models.ask"), icon=":material/terminal:"):
            st.code(_curl(api, model), language="bash", wrap_lines=True)
            st.caption(t("models.ask_help"))


def _facts(model: CardAnswer, names: dict[str, str]) -> list[str]:
    split = model["split"]
    lines = [
        t(
            "models.test_labels" if model.get("task") == "multilabel" else "models.test",
            accuracy=percent(model["accuracy"]),
            interval=interval(model),
            f1=percent(model["macro_f1"]),
        ),
        t("models.dataset", dataset=plain(dataset_of(model, names))),
    ]
    if split:
        lines.append(t("models.split", train=split["train"], val=split["val"], test=split["test"]))
    if model.get("members"):
        lines.append(t("results.members", members=shares(model.get("members", []))))
    lines.append(t("models.made", when=when(model["created_at"]), job=model["job_id"] or "–", model=model["model_id"]))
    trained_by = model.get("trained_by")
    if trained_by:
        lines.append(t("models.trained_by", who=plain(trained_by)))
    if model["state"] == "promoted":
        by = model["promoted_by"]
        since = when(model["promoted_at"])
        lines.append(t("models.promoted_by", when=since, who=plain(by)) if by else t("models.promoted", when=since))
    return lines


def _curl(api: Client, model: CardAnswer) -> str:
    key = '-H "X-API-Key: $SIGHTGLASS_API_KEY"'
    default = f"curl -s {key} -F file=@picture.jpg {api.base_url}/predict"
    by_id = f"curl -s {key} -F file=@picture.jpg '{api.base_url}/api/cv/predict/{model['model_id']}?top_k=3'"
    return f"# {t('models.ask_default')}\n{default}\n\n# {t('models.ask_this')}\n{by_id}"

"""Who did what, as a table that grows on request."""

from __future__ import annotations

import streamlit as st

from frontend.client import Client
from frontend.i18n import t
from frontend.widgets import frame
from frontend.widgets.wording import name_of

PAGES = (20, 100, 1000)


def show(api: Client, dataset_id: str | None) -> None:
    """Draw the newest entries of the audit log: about a dataset and what belongs to it, or about everything."""
    limit = st.segmented_control(
        t("audit.how_many"),
        PAGES,
        default=PAGES[0],
        required=True,
        key="audit-limit",
        format_func=lambda number: t("audit.newest", number=number),
        label_visibility="collapsed",
    )
    page = api.audit(limit=int(limit or PAGES[0]), subject=dataset_id)
    if not page["entries"]:
        st.caption(t("audit.none"))
        return
    rows = [
        {
            t("audit.when"): frame.moment(entry["created_at"]),
            t("audit.who"): entry["actor"],
            t("audit.what"): name_of("audit.action", entry["action"]),
            t("audit.on"): entry["subject"],
            t("audit.detail"): entry["detail"],
            t("audit.from"): entry["address"],
            t("audit.request"): entry["request_id"],
        }
        for entry in page["entries"]
    ]
    frame.show(rows, alt=t("audit.title"))
    if page["next_before"] is not None:
        st.caption(t("audit.more"))

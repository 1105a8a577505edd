"""What each column of a table is, and its first rows."""

from __future__ import annotations

import streamlit as st

from frontend.i18n import t
from frontend.table_answers import TableView
from frontend.widgets import frame
from frontend.widgets.wording import NOTHING, name_of


def show(table: TableView) -> None:
    st.subheader(t("table.columns"), anchor=False)
    rows = [
        {
            "name": column["name"],
            "kind": name_of("kind", column["kind"]),
            "missing": column["missing"],
            "unique": column["unique"],
            "examples": " · ".join(column["examples"][:4]),
            "note": column["note"],
        }
        for column in table["columns"]
    ]
    headings = {name: st.column_config.Column(t(f"table.column_{name}")) for name in rows[0]}
    frame.show(rows, columns=headings, alt=t("table.columns"))
    with st.expander(t("table.preview"), icon=":material/table_rows:"):
        st.dataframe(table["preview"], hide_index=True, placeholder=NOTHING, alt=t("table.preview"))

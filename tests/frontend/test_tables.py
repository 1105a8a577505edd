"""The page of tables: what it asks for first, what it shows, what it sends."""

from __future__ import annotations

import io

import pytest
from stand_in_tables import AMOUNT, RESULTS, TABLE_ID
from streamlit.testing.v1 import AppTest

from frontend.client import ApiError


def draw():
    from frontend import app

    app.tables_page()


@pytest.fixture
def open_tables(open_page):
    """Open the page of tables: AppTest itself knows the first page of a navigation only."""

    def open_at(**query):
        page = AppTest.from_function(draw, default_timeout=120)
        for name, value in query.items():
            page.query_params[name] = value
        return page.run()

    return open_at


def everything(page):
    kinds = (
        page.header,
        page.subheader,
        page.markdown,
        page.caption,
        page.error,
        page.info,
        page.success,
        page.warning,
    )
    return "\n".join(element.value for kind in kinds for element in kind)


def test_without_a_table_it_asks_for_one(open_tables, service):
    page = open_tables()
    assert not page.exception
    assert page.header[0].value == "A table in, a model out"


def test_tables_that_are_there_can_be_opened(open_tables, service):
    service.tables["results"] = None
    page = open_tables()
    page.button(key=f"open-{TABLE_ID}").click().run()
    assert page.query_params["table"] in (TABLE_ID, [TABLE_ID])
    assert page.header[0].value == "people"


def test_a_new_table_shows_its_columns_and_the_form(open_tables, service):
    service.tables["results"] = None
    page = open_tables(table=TABLE_ID)
    assert not page.exception
    assert "1,200 rows, 4 columns." in everything(page)
    assert "2 lines were left out." in page.warning[0].value
    assert page.selectbox[0].options == ["city", "age", "buys"]
    assert page.selectbox[0].value == "buys"


def test_start_sends_the_choices_and_watches_the_job(open_tables, service):
    service.tables["results"] = None
    page = open_tables(table=TABLE_ID)
    page.radio[0].set_value(20)
    page.multiselect[1].set_value(["age"])
    page.button(key="start-table").click().run()
    assert service.recipes == [
        {"dataset_id": TABLE_ID, "target": "buys", "time_budget_s": 20, "exclude": ["age"], "ensemble": True}
    ]
    assert "job" in page.query_params
    assert not page.exception


@pytest.mark.parametrize(("results", "sentence"), [(RESULTS, "91 of 100 rows"), (AMOUNT, "mean error of 12.5")])
def test_results_begin_with_the_answer(open_tables, service, results, sentence):
    service.tables["results"] = results
    page = open_tables(table=TABLE_ID)
    assert not page.exception
    assert not page.error
    assert sentence in page.subheader[0].value
    assert "The table has dates" in page.info[0].value
    assert "One column was left out" in next(expander.label for expander in page.expander)


def test_one_row_is_answered(open_tables, service):
    service.tables["results"] = RESULTS
    page = open_tables(table=TABLE_ID)
    page.button[0].click().run()
    assert service.predictions_asked == [{"rows": [{"city": "Ulm", "age": "41.5"}]}]
    assert "### buys: yes · 80.0%" in everything(page)


def test_a_row_unlike_all_that_was_learned_from_is_said(open_tables, service):
    service.tables["results"] = RESULTS
    page = open_tables(table=TABLE_ID)
    page.text_input(key="row-age").set_value("old")
    page.button[0].click().run()
    assert "Unlike anything that was learned from: age" in everything(page)


def press(page, key):
    page.button(key=f"table-model-{key}").click().run()
    page.button(key="table-model-sure").click().run()
    assert not page.exception
    assert not page.error


def test_models_of_a_table_are_promoted_taken_back_and_put_aside(open_tables, service):
    service.tables["results"] = RESULTS
    page = open_tables(table=TABLE_ID)
    assert "Linear model · candidate" in everything(page)
    press(page, "promote")
    assert service.promoted == ["model-table"]
    assert "Linear model · promoted" in everything(page)
    assert "Promoted since" in everything(page)
    page.selectbox(key="table-models-chosen").set_value("model-older").run()
    press(page, "promote")
    press(page, "rollback")
    assert service.promoted == ["model-table"]
    page.selectbox(key="table-models-chosen").set_value("model-older").run()
    press(page, "archive")
    press(page, "restore")
    press(page, "delete")
    assert service.deleted == {"model-older"}


def test_a_promotion_is_asked_about_with_the_scores_of_both(open_tables, service):
    service.tables["results"] = RESULTS
    service.promoted.append("model-older")
    page = open_tables(table=TABLE_ID)
    page.selectbox(key="table-models-chosen").set_value("model-table").run()
    page.button(key="table-model-promote").click().run()
    assert "`model-older`, whose place it takes, 91.0% accuracy" in everything(page)


def test_a_large_table_is_watched_while_it_is_read(open_tables, service, api):
    service.tables |= {"results": None, "large": True}
    job = api.tables.upload(io.BytesIO(b"a,b\n1,2\n"), "t.csv")
    page = open_tables(table=TABLE_ID, job=job["job_id"])
    assert page.header[0].value == "Reading the table"
    service.jobs[job["job_id"]] |= {"state": "failed", "error": "The table has one column only."}
    page = open_tables(table=TABLE_ID, job=job["job_id"])
    assert "one column only" in page.error[0].value
    service.jobs[job["job_id"]] |= {"state": "succeeded", "error": None}
    page = open_tables(table=TABLE_ID, job=job["job_id"])
    assert page.header[0].value == "people"
    assert "job" not in page.query_params


def test_a_stale_link_shows_the_reason_and_a_way_out(open_tables, service):
    page = open_tables(table="ds-gone")
    assert "There is no dataset 'ds-gone'" in page.error[0].value
    page.button[-1].click().run()
    assert "table" not in page.query_params
    assert not page.error


def test_the_client_uploads_and_downloads(api, service, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n1,2\n")
    with path.open("rb") as file:
        assert api.tables.upload(file, "t.csv")["dataset_id"] == TABLE_ID
    assert api.tables.download("model-table") == b"PK"
    assert [table["name"] for table in api.tables.all()] == ["people"]
    path.write_bytes(b"a\n1\n")
    with path.open("rb") as file, pytest.raises(ApiError, match="one column"):
        api.tables.upload(file, "t.csv")

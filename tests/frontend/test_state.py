"""What a browser tab has chosen, where the browser is slower than the page."""

from streamlit.testing.v1 import AppTest


def page():
    import streamlit as st

    from frontend import state

    if "clicked" not in st.session_state:
        st.session_state["clicked"] = True
        state.choose_dataset("ds-1", tab=state.TRAIN)
        state.keep_address()  # the page is drawn with what was clicked
        st.query_params["tab"] = state.UPLOAD  # what the browser still sends along with a look by the clock
        state.redraw()
    state.keep_address()
    st.write(f"{state.tab()} of {state.dataset_id()}")


def test_a_look_by_the_clock_that_brings_an_older_url_does_not_take_the_last_click_back():
    drawn = AppTest.from_function(page, default_timeout=120).run()
    assert [one.value for one in drawn.markdown] == ["train of ds-1"]
    assert drawn.query_params == {"tab": "train", "dataset": "ds-1"}
    assert not drawn.exception


def clicked_page():
    import streamlit as st

    from frontend import state

    if "clicked" not in st.session_state:
        st.session_state["clicked"] = True
        state.open_tab(state.TRAIN)
        st.query_params["tab"] = state.UPLOAD  # by a run that is being stopped, in another thread
    state.prepare_tab_control([state.UPLOAD, state.TRAIN, state.RESULTS])
    st.write(state.tab())


def test_a_click_opens_its_tab_whatever_a_run_that_is_being_stopped_says_of_the_url():
    drawn = AppTest.from_function(clicked_page, default_timeout=120).run()
    assert [one.value for one in drawn.markdown] == ["train"]
    drawn.query_params["tab"] = "results"  # the browser's Back, later
    assert [one.value for one in drawn.run().markdown] == ["results"]
    assert not drawn.exception

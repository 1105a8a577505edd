"""A drop zone: what it takes is said below it, and a refusal stays until another file comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import BinaryIO, cast

import streamlit as st

from frontend import state
from frontend.widgets import problems


def show(label: str, *, most: int, captions: Sequence[str], send: Callable[[BinaryIO, str], str]) -> None:
    """Draw it for files of at most `most` MiB. `send` sends a file of a name; it returns a refusal's reason, or not."""
    file = st.file_uploader(label, key=state.upload_key(), max_upload_size=most)
    for caption in captions:
        st.caption(caption)
    if file is None:
        return
    refusal = state.refusal_of(file.file_id)
    if refusal is None:
        refusal = send(cast(BinaryIO, file), file.name)
        state.remember_refusal(file.file_id, refusal)
    problems.show_detail(refusal)

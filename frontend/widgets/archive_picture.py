"""What a good ZIP looks like, in one picture: an SVG drawn in the text colour of the theme."""

from __future__ import annotations

from html import escape

import streamlit as st

from frontend.i18n import t

# Pixels.
WIDTH = 420
ROW = 46
TILE = 34
INK = {"light": "#2f2d2b", "dark": "#edebe8"}
COLOURS = ("#0072B2", "#E69F00", "#009E73")


def show_archive_picture() -> None:
    """One folder a class, pictures inside."""
    st.markdown(f"**{t('picture.title')}**")
    ink = INK["dark" if st.context.theme.type == "dark" else "light"]
    st.image(archive_svg(ink), width=WIDTH, alt=t("picture.alt"))
    st.caption(t("picture.also"))


def archive_svg(ink: str) -> str:
    """Build the drawing; the names in it are translated."""
    classes = [t("picture.class_1"), t("picture.class_2"), t("picture.class_3")]
    rows = "".join(_class_row(name, index) for index, name in enumerate(classes))
    height = 44 + ROW * len(classes)
    spine_end = 40 + ROW * (len(classes) - 1) + TILE / 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'color="{ink}" fill="currentColor" font-family="sans-serif" font-size="15">'
        f'<text x="4" y="22" font-weight="600">{escape(t("picture.zip"))}</text>'
        f'<path d="M14 32 V{spine_end}" stroke="currentColor" stroke-opacity="0.4" fill="none"/>{rows}</svg>'
    )


def _class_row(name: str, index: int) -> str:
    top = 40 + ROW * index
    middle = top + TILE / 2
    tiles = "".join(_tile(178 + 42 * place, top, index, place) for place in range(5))
    return (
        f'<path d="M14 {middle} H32" stroke="currentColor" stroke-opacity="0.4"/>'
        f'<path d="M38 {middle - 9} h9 l3 4 h14 v14 h-26 z" fill="{COLOURS[index]}"/>'
        f'<text x="72" y="{middle + 5}">{escape(name)}/</text>{tiles}'
    )


def _tile(x: float, y: float, index: int, place: int) -> str:
    """A little picture: each class has its own shape, each picture its own size of it."""
    middle_x, middle_y, radius = x + TILE / 2, y + TILE / 2, 7 + (place * 3) % 5
    left, top, side = middle_x - radius, middle_y - radius, 2 * radius
    shapes = (
        f'<circle cx="{middle_x}" cy="{middle_y}" r="{radius}" fill="{COLOURS[0]}"/>',
        f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="{COLOURS[1]}"/>',
        f'<path d="M{middle_x} {top} l{radius} {side} h{-side} z" fill="{COLOURS[2]}"/>',
    )
    frame = (
        f'<rect x="{x}" y="{y}" width="{TILE}" height="{TILE}" rx="4" fill="none" stroke="currentColor" '
        'stroke-opacity="0.35"/>'
    )
    return frame + shapes[index]

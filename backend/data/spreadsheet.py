"""Cells of a CSV that a spreadsheet will open: text from outside stays text. It knows no files."""

from __future__ import annotations

# What makes Excel, LibreOffice and Google Sheets read a cell as a formula; tab and line end are cut off by some first.
# https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def plain_cell(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would compute it."""
    return f"'{text}" if text.startswith(FORMULA) else text

"""Severstal's `train.csv`: classes and run-length masks of steel defects, a row for each picture and class.

Two shapes are known: `ImageId,ClassId,EncodedPixels` with rows for defects only, and the older
`ImageId_ClassId,EncodedPixels` with a row for every pair, empty where there is none. What a mask means is not known
here: it is kept as it was written, under the ids of our images, for whoever trains on it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from backend.data.label_table import MAX_MASK_TABLE_BYTES, decoded, table_text
from backend.data.members import Member, MemberSource, clean_path
from backend.data.names import clean_name, shown
from backend.errors import ArchiveError, DatasetError

SEVERSTAL_FILE = "train.csv"
MASKS_FILE = "masks.csv"
COLUMNS = frozenset({"imageid", "classid", "encodedpixels"})
OLD_COLUMNS = frozenset({"imageid_classid", "encodedpixels"})
# A strip of 1600 x 256 pixels has at most 204,800 runs of some 10 characters.
MAX_CELL = 4 * 2**20


@dataclass(frozen=True)
class Mask:
    """One defect class on one picture. `pixels` is its run-length code as written: start, length, ..., from 1, by
    columns from top to bottom.
    """

    filename: str
    label: str
    pixels: str


def is_severstal(source: MemberSource, table: Member) -> bool:
    """Whether a `train.csv` has the columns of the Severstal steel defect data."""
    if table.parts[-1].lower() != SEVERSTAL_FILE or table.size > MAX_MASK_TABLE_BYTES:
        return False
    try:
        first = decoded(source.read(table).split(b"\n", 1)[0])
    except ArchiveError:  # a damaged table is no reason to refuse the folders beside it
        return False
    header = {clean_name(column).lower() for column in first.split(",")}
    return header >= COLUMNS or header >= OLD_COLUMNS


def read_masks(source: MemberSource, table: Member) -> list[Mask]:
    """Return every defect of the table; rows without pixels are no defects.

    Raises:
        DatasetError: a cell is longer than any mask, or the table is no CSV.
    """
    text = table_text(source, table, most=MAX_MASK_TABLE_BYTES)
    before = csv.field_size_limit(MAX_CELL)
    try:
        rows = csv.DictReader(io.StringIO(text))
        rows.fieldnames = [clean_name(name or "").lower() for name in rows.fieldnames or ()]
        return [mask for row in rows if (mask := _mask(row)) is not None]
    except csv.Error as error:
        raise DatasetError(f"'{shown(table.name)}' cannot be read as a table ({error}).") from error
    finally:
        csv.field_size_limit(before)


def masks_table(masks: Iterable[Mask], image_ids: Mapping[str, str]) -> str:
    """Return the masks of known pictures as CSV `image_id,label,pixels`; `image_ids` is by the file name as written."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("image_id", "label", "pixels"))
    writer.writerows((image_ids[one.filename], one.label, one.pixels) for one in masks if one.filename in image_ids)
    return buffer.getvalue()


def _mask(row: Mapping[str, str | None]) -> Mask | None:
    pixels = (row.get("encodedpixels") or "").strip()
    if not pixels:
        return None
    if "imageid_classid" in row:
        filename, _, label = (row["imageid_classid"] or "").rpartition("_")
    else:
        filename, label = row.get("imageid") or "", row.get("classid") or ""
    filename, label = clean_path(filename), clean_name(label)
    return Mask(filename, label, pixels) if filename and label else None

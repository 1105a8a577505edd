"""What an import found as columns: the same items, names and insights as from records."""

from __future__ import annotations

from collections import Counter

import pytest

from backend.contracts import RunControl
from backend.data.archive import open_archive
from backend.data.found import columns_found
from backend.data.insights import describe, load_insights, looks_of
from backend.data.item_table import columns_of
from backend.data.manifest import load_dataset
from backend.data.scan import ImportPlan, import_members, read_members, store_members
from backend.data.tasks import nothing_taken

LABELS_CSV = b"filename,labels\na.png,cat|dog\nb.png,\nc.png,cat\nd.png,dog|cat\ncopy.png,dog\n"


@pytest.fixture(params=["folders", "table"])
def opened(request, packed, folders, picture):
    """An archive with a copy of a picture: folders of classes, or several labels from a table."""
    if request.param == "folders":
        members = folders({"cat": 3, "dog": 3})
        members["set/dog/copy.png"] = members["set/cat/0.png"]
    else:
        members = {f"{name}.png": picture(place, size=(9 + place, 9)) for place, name in enumerate("abcd")}
        members |= {"copy.png": members["a.png"], "labels.csv": LABELS_CSV}
    with open_archive(packed(members)) as archive:
        yield archive


def test_stored_columns_are_the_records(opened, settings, into):
    plan = ImportPlan(settings, RunControl())
    stored = store_members(opened, into=into, name="x", plan=plan)
    records = import_members(opened, into=into, name="x", plan=plan)
    read = load_dataset(stored.root)
    assert read.items == records.items
    assert stored.info.model_copy(update={"dataset_id": "", "created_at": None}) == records.info.model_copy(
        update={"dataset_id": "", "created_at": None}
    )
    assert load_insights(stored.root, version=1) == describe(read)


def test_columns_and_records_are_two_forms_of_the_same(opened, settings, tmp_path):
    found = read_members(opened, folder=tmp_path, plan=ImportPlan(settings, RunControl()))
    assert columns_of(found.items).items() == found.items == found.columns.items()
    assert looks_of(found.items).labels == found.labels
    ids = Counter(item.image_id.partition("-")[0] for item in found.items)
    assert max(ids.values()) == 2, "a copy has the number 2 behind the same digest"
    assert len({item.image_id for item in found.items}) == len(found.items)
    assert len({item.path for item in found.items}) == len(found.items) - 1, "equal pictures are read at one place"


def test_of_nothing_there_are_no_items():
    columns = columns_found([], nothing_taken([(0, "broken")]))
    assert len(columns) == 0
    assert columns.items() == ()

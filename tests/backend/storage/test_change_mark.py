from datetime import UTC, datetime

from backend.storage.change_mark import ChangeMark
from backend.storage.database import Database
from backend.storage.tables import datasets


def test_the_mark_changes_with_every_commit_of_anybody_and_with_nothing_else(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    database.migrate()
    mark = ChangeMark(database)
    first = mark.read()
    assert first is not None
    assert mark.read() == first
    with database.reading() as connection:
        connection.execute(datasets.select()).all()
    assert mark.read() == first
    with database.writing() as connection:
        connection.execute(
            datasets.insert().values(dataset_id="ds-1", created_at=datetime(2026, 1, 1, tzinfo=UTC), record="{}")
        )
        assert mark.read() == first
    assert mark.read() != first
    mark.close()
    database.close()


def test_where_there_is_no_file_nobody_knows_and_none_is_made(tmp_path):
    mark = ChangeMark(Database(f"sqlite:///{tmp_path / 'none.db'}"))
    assert mark.read() is None
    assert list(tmp_path.iterdir()) == []


def test_a_server_s_database_has_no_mark():
    assert ChangeMark(Database("postgresql://nobody@localhost:1/none")).read() is None

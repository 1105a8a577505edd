"""Which fields are sentences: every text field of every record that is answered with is one, or is none on purpose."""

import inspect
import typing

import pydantic
import pytest

import backend.api.schemas
import backend.api.table_schemas
import backend.contracts
from backend.i18n.answers import DATA, SENTENCES, said
from backend.main import create_app


def shout(text):
    return text.upper()


def test_sentences_are_translated_and_data_is_not():
    answer = {
        "detail": "a",
        "warnings": ["b", "c"],
        "skipped": [{"file": "reason", "reason": "d"}],
        "leaderboard": [{"name": "e", "reason": None, "tried": "f"}],
        "count": 3,
    }
    assert said(answer, shout) == {
        "detail": "A",
        "warnings": ["B", "C"],
        "skipped": [{"file": "reason", "reason": "D"}],
        "leaderboard": [{"name": "e", "reason": None, "tried": "F"}],
        "count": 3,
    }


@pytest.mark.parametrize("name", sorted(DATA))
def test_a_column_or_class_called_like_a_field_keeps_what_it_holds(name):
    answer = {name: {"message": "a", "warnings": ["b"], "detail": {"reason": "c"}}}
    assert said(answer, shout) == answer


def test_the_drift_of_labels_is_said_and_a_list_of_labels_is_not():
    answer = {"labels": {"words": "a", "bins": [{"name": "words"}]}, "image": {"labels": ["warnings", "b"]}}
    assert said(answer, shout) == answer | {"labels": {"words": "A", "bins": [{"name": "words"}]}}


def models_in(annotation):
    if inspect.isclass(annotation) and issubclass(annotation, pydantic.BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from models_in(inner)


def answered_with():
    found, waiting = set(), []
    for route in create_app().routes:
        waiting += list(models_in(getattr(route, "response_model", None)))
    for module in (backend.api.schemas, backend.api.table_schemas, backend.contracts):
        waiting += [
            one for _, one in inspect.getmembers(module, inspect.isclass) if issubclass(one, pydantic.BaseModel)
        ]
    while waiting:
        model = waiting.pop()
        if model not in found:
            found.add(model)
            for field in model.model_fields.values():
                waiting += list(models_in(field.annotation))
    return found


def has_free_names(annotation):
    """Whether people's own words may be names of fields, with texts below them."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is dict or "Mapping" in str(origin):
        return not all(one in (str, int, float, bool) or "int" in str(one) or "float" in str(one) for one in inner)
    return any(has_free_names(one) for one in inner)


# Objects whose names are ours: settings, figures and versions that the service itself writes.
OWN_NAMES = {
    "environment",
    "light",
    "tracking",
    "metrics",
    "data",
    "split",
    "backends",
    "experiment",
    "best_validation",
}


def test_no_answer_has_a_free_object_that_is_looked_into():
    """A class, a column or a setting called `message` must not be taken for a sentence."""
    free = {
        f"{model.__name__}.{name}"
        for model in answered_with()
        for name, field in model.model_fields.items()
        if has_free_names(field.annotation) and name not in DATA | OWN_NAMES
    }
    assert free == set()


def test_every_listed_field_is_one_of_a_record_or_of_a_problem():
    names = {name for model in answered_with() for name in model.model_fields} | {"detail", "title"}
    assert SENTENCES - names == set()

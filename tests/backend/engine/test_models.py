from __future__ import annotations

import subprocess
import sys

import pytest

from backend.engine.models import MODELS, find_spec
from backend.errors import RecipeError


def test_the_four_default_networks_are_the_promised_ones():
    assert [spec.name for spec in MODELS if spec.default] == [
        "mobilenetv3_large",
        "resnet18",
        "efficientnet_b0",
        "vit_base",
    ]


def test_every_entry_is_registered_under_its_own_name():
    assert [spec.name for spec in MODELS] == MODELS.names()


def test_a_name_of_the_catalogue_gives_its_entry():
    assert find_spec("resnet18") is MODELS.get("resnet18")


def test_a_timm_name_gives_a_bare_entry_that_keeps_the_name_asked_for():
    spec = find_spec("timm:convnext_atto")
    assert (spec.name, spec.family, spec.timm_name, spec.hub_id) == (
        "timm:convnext_atto",
        "timm",
        "convnext_atto",
        None,
    )


def test_a_tagged_timm_name_tells_its_hub_repository():
    assert find_spec("timm:resnet50.a1_in1k").hub_id == "timm/resnet50.a1_in1k"


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("resnet81", "resnet18"),
        ("vit-base", "vit_base"),
        ("efficientnet_lite0_cbm", "efficientnet_lite0_cbam"),
        ("vit_tiny_cbm", "vit_tiny"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(wrong, nearest):
    with pytest.raises(RecipeError, match=f"Did you mean '{nearest}'"):
        find_spec(wrong)


def test_an_empty_timm_name_is_refused():
    with pytest.raises(RecipeError, match="There is no network 'timm:'"):
        find_spec("timm:")


def test_catalogue_and_weight_lookup_load_no_torch():
    code = (
        "import sys; from backend.config import Settings; from backend.engine.models import MODELS;"
        "from backend.engine.weights import locate;"
        "[locate(spec, Settings(offline=True)) for spec in MODELS];"
        "print([m for m in ('torch', 'timm', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

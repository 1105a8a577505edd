"""Where a converted network can be cut in two: a front that sees large maps, and the rest.

Rounding to bfloat16 costs the most where maps are large and channels few, and saves the least there. OpenVINO can mark
single layers as float32, but its own rewriting drops the marks of all that it replaces (a padded convolution, the
normalisation); two graphs keep what they were given. It knows no arithmetic and no network by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from backend.engine.forward import openvino_library as library

# The rest begins with maps of a quarter of the picture's side at most.
PIXELS_PER_PLACE = 4 * 4


def cut_in_two(graph: Any) -> tuple[Any, Any]:
    """Two graphs that give what one gave, the second fed with what the first answers. The given one is used up.

    The place is a tensor that everything passes through: of the largest maps that have shrunk to a quarter of the
    picture's side, the one with the fewest channels, and the last of those. Normalisation and activation that belong to
    a convolution stay on its side.

    Raises:
        ValueError: there is no such place.
    """
    _, height, width, _ = graph.inputs[0].get_partial_shape()
    most = height.get_length() * width.get_length() // PIXELS_PER_PLACE
    places = [(_pixels(place), _channels(place), place) for place in _bottlenecks(graph) if _is_map(place)]
    small = [entry for entry in places if 1 < entry[0] <= most]
    if not small:
        raise ValueError("the network has no small maps that everything passes through")
    first = small[0][0]
    least = min(channels for pixels, channels, _ in small if pixels == first)
    place = [place for pixels, channels, place in small if (pixels, channels) == (first, least)][-1]
    return _cut_at(graph, place)


def _bottlenecks(graph: Any) -> Iterator[Any]:
    """Outputs that all later ones depend on alone, in the order of computation. Constants depend on nothing."""
    pending: dict[tuple[str, int], int] = {}  # computed, with so many readers still to come
    seen: set[str] = set()
    for node in graph.get_ordered_ops():
        sources = [(feed.get_node().get_name(), feed.get_index()) for feed in _feeds(node)]
        read = [source for source in sources if source[0] in seen]
        if not read and node.get_type_name() != "Parameter":
            continue
        seen.add(node.get_name())
        for source in read:
            pending[source] -= 1
            if pending[source] == 0:
                del pending[source]
        if node.get_type_name() == "Result":
            continue
        for place, output in enumerate(node.outputs()):
            if output.get_target_inputs():
                pending[node.get_name(), place] = len(output.get_target_inputs())
        if len(pending) == 1 and node.get_output_size() == 1:
            yield node.output(0)


def _feeds(node: Any) -> list[Any]:
    return [entry.get_source_output() for entry in node.inputs()]


def _is_map(output: Any) -> bool:
    """Whether it holds float maps [N, C, H, W] of a known size."""
    shape = output.get_partial_shape()
    known = shape.rank.is_static and len(shape) == 4 and all(shape[axis].is_static for axis in (1, 2, 3))
    return bool(known and output.get_element_type().is_real())


def _channels(output: Any) -> int:
    return int(output.get_partial_shape()[1].get_length())


def _pixels(output: Any) -> int:
    shape = output.get_partial_shape()
    return int(shape[2].get_length() * shape[3].get_length())


def _cut_at(graph: Any, place: Any) -> tuple[Any, Any]:
    openvino = library.load_openvino()
    fed = openvino.op.Parameter(place.get_element_type(), place.get_partial_shape())
    for reader in place.get_target_inputs():
        reader.replace_source_output(fed.output(0))
    rest = openvino.Model(graph.get_results(), [fed], "rest")
    return openvino.Model([place], graph.get_parameters(), "front"), rest

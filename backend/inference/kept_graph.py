"""A served network as OpenVINO's graph, kept in the cache: recording takes a second of one core, reading 50 ms."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

from backend.engine.forward import openvino_library as library
from backend.engine.members import Member
from backend.errors import ConflictError
from backend.inference.backends import graph_for
from backend.storage.cache_space import mark_used
from backend.storage.files import atomic_directory

log = logging.getLogger(__name__)

NAME = "graph"


def kept_graph(member: Member, folder: Path | None) -> Any:
    """The graph from `folder`, or recorded and kept there; None: kept nowhere.

    Raises:
        choice.CANNOT: OpenVINO is absent, or cannot express the network.
    """
    if folder is None:
        return graph_for(member)
    place = folder / NAME
    if place.is_dir():
        mark_used(folder)
        try:
            return library.read(place)
        except RuntimeError as error:
            log.warning("damaged network dropped", extra={"reason": str(error)[:300]})
            shutil.rmtree(place, ignore_errors=True)
    graph = graph_for(member)
    try:
        with atomic_directory(place) as temporary:
            library.save(graph, temporary)
    except ConflictError:  # another process was first, with the same
        pass
    except (OSError, RuntimeError) as error:  # a full disk: the next start records it again
        log.warning("network not kept", extra={"reason": str(error)[:300]})
    return graph

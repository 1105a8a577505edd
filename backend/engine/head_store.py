"""Solved heads on the disk: the same features, targets and plan give the same head, so it is solved once.

A file's name is a hash of all that decides its content, so it is never stale; it appears by a rename. It knows no
networks.
"""

from __future__ import annotations

import hashlib
import io
import logging
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backend.contracts import RunControl
from backend.data.targets import Targets, is_multilabel
from backend.engine.probe import HeadPlan, LinearHead, fit_probe
from backend.storage.files import atomic_write

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]

FOLDER = "heads"
LAYOUT_VERSION = 2  # raise it when `fit_probe` solves another problem
DAMAGE = (zipfile.BadZipFile, ValueError, EOFError, KeyError, OSError)


def remembered_probe(
    features: Floats,
    targets: Targets,
    *,
    num_classes: int,
    plan: HeadPlan,
    cache_dir: Path,
    control: RunControl | None = None,
) -> LinearHead:
    """What `fit_probe` gives, read where it was solved before.

    Raises:
        DatasetError: a class has fewer than two images, so that none can be held out.
        JobCancelled: through `control`, between fits.
    """
    path = cache_dir / FOLDER / f"{_key(features, targets, num_classes=num_classes, plan=plan)}.npz"
    known = _read(path, several=is_multilabel(targets))
    if known is not None:
        return known
    head = fit_probe(features, targets, num_classes=num_classes, plan=plan, control=control)
    content = io.BytesIO()
    np.savez(
        content,
        weight=head.weight,
        bias=head.bias,
        out_of_fold=head.out_of_fold,
        figures=np.array([head.regularisation, head.cv_accuracy]),
    )
    atomic_write(path, content.getvalue())
    return head


def _key(features: Floats, targets: Targets, *, num_classes: int, plan: HeadPlan) -> str:
    digest = hashlib.blake2b(digest_size=16)
    settings = (LAYOUT_VERSION, version("scipy"), num_classes, plan.folds, plan.seed, plan.balanced)
    digest.update(repr((settings, features.shape, str(features.dtype), *targets.shape[1:])).encode())
    for array in (features, np.asarray(targets, dtype=np.int64), plan.groups):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _read(path: Path, *, several: bool) -> LinearHead | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            regularisation, cv_accuracy = content["figures"].tolist()
            return LinearHead(
                weight=content["weight"],
                bias=content["bias"],
                regularisation=regularisation,
                cv_accuracy=cv_accuracy,
                out_of_fold=content["out_of_fold"],
                task="multilabel" if several else "multiclass",
            )
    except FileNotFoundError:
        return None
    except DAMAGE as error:
        log.warning("damaged head is solved anew", extra={"file": path.name, "error": type(error).__name__})
        return None

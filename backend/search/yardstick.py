"""What a winner will know as its own: features of the images that it learned from, and how far from them is too far.

It knows how a network came to its features, and from which images; what is done with distances is `engine.reference`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backend.engine.features import extract_features
from backend.engine.reference import Known, Reference, build_reference, build_reference_of_frozen, chosen, measured

if TYPE_CHECKING:
    import numpy.typing as npt

    from backend.contracts import ImageItem
    from backend.search.study import Ints, Study
    from backend.search.trial import TrainedModel, Trial


def yardstick(study: Study, winner: Trial, model: TrainedModel) -> Reference:
    """The reference of the network that leads a winner.

    A probe's features were learned from other pictures than these, so each image judges, left out. A refinement has
    learned from all of them; its cross-validation's networks had not, and said how far what they held out was. Another
    network whose features were trained is judged by the validation images.
    """
    leader = winner.members[0][0] if winner.members else winner
    places, features = _learned(study, model)
    if leader.strategy == "probe":
        return build_reference_of_frozen(_known(study, places, features), seed=study.recipe.seed)
    if leader.fresh_distances is not None:
        known = _known(study, places, features)
        return measured(known, chosen(known, seed=study.recipe.seed), leader.fresh_distances)
    training = np.isin(places, study.train)
    known = _known(study, places[training], features[training])
    return build_reference(
        known.features,
        features[np.isin(places, study.val)],
        image_ids=known.image_ids,
        labels=known.labels,
        seed=study.recipe.seed,
    )


def caption(item: ImageItem) -> str:
    """What is said of an image beside its picture; of one with several labels all of them, of one without "none"."""
    return item.label if not item.labels and item.label else ", ".join(item.labels) or "none"


def _known(study: Study, places: Ints, features: npt.NDArray[np.floating]) -> Known:
    items = [study.dataset.items[place] for place in places]
    return Known(
        features=features,
        image_ids=[item.image_id for item in items],
        labels=[caption(item) for item in items],
        groups=study.groups[places],
    )


def _learned(study: Study, model: TrainedModel) -> tuple[Ints, npt.NDArray[np.floating]]:
    """Places [P] of images that are not the test's, and their features [P, D]."""
    if model.features is None:
        images, places = study.images(model.preprocessing), study.learnable
        return places, extract_features(
            model.network, images, preprocessing=model.preprocessing, places=places, control=study.control
        )
    places = np.arange(len(study.dataset.items)) if model.places is None else model.places
    learned = np.isin(places, study.learnable)
    return places[learned], model.features[learned]

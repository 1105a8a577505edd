"""The Hugging Face hub: what lies in its local cache, whether it answers, and fetching one file. Free of torch.

It does not know networks, and never waits longer than it was told for a sign of life.
"""

from __future__ import annotations

import logging
import threading
import urllib.error
import urllib.request
from functools import cache
from pathlib import Path

from backend.errors import UnavailableError

log = logging.getLogger(__name__)

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


def cached_file(repo_id: str) -> Path | None:
    """The weights of a repository in the local cache, or None. Never touches the network."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    for name in WEIGHT_FILES:
        try:
            found = try_to_load_from_cache(repo_id, name)
        except HFValidationError:  # a name no repository can have, so none is cached
            return None
        if isinstance(found, str) and Path(found).is_file():  # else None, or "known not to exist"
            return Path(found)
    return None


@cache
def reachable(timeout_s: float) -> bool:
    """Whether the hub answers within `timeout_s` seconds. Asked once per process: a firewall rarely opens meanwhile.

    The question runs in a thread of its own, because looking a name up can block for longer than any socket timeout.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(_answers(constants.ENDPOINT, timeout_s)), daemon=True)
    thread.start()
    thread.join(timeout_s)
    found = bool(answers) and answers[0]
    log.info("hub probed", extra={"endpoint": constants.ENDPOINT, "reachable": found})
    return found


def _answers(endpoint: str, timeout_s: float) -> bool:
    try:
        request = urllib.request.Request(endpoint, method="HEAD")  # noqa: S310 - the endpoint is the deployment's choice
        with urllib.request.urlopen(request, timeout=timeout_s) as response:  # noqa: S310
            return bool(response.status < 400)
    except urllib.error.HTTPError as error:
        return error.code == 405  # a mirror that refuses HEAD is there all the same; a proxy's 403 is not
    except (OSError, ValueError):  # no route, no name, refused, timed out; or an endpoint that is no URL
        return False


def download(repo_id: str, *, timeout_s: float) -> Path:
    """Fetch a repository's weights into the local cache; safetensors first.

    Raises:
        UnavailableError: the hub gave no weights; the detail says why.
    """
    import httpx2
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HFValidationError

    reason = "it holds no weights file"
    for name in WEIGHT_FILES:
        try:
            return Path(hf_hub_download(repo_id, name, etag_timeout=timeout_s))
        except EntryNotFoundError:
            continue
        except (OSError, httpx2.HTTPError, HFValidationError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            break
    raise UnavailableError(
        f"The hub gave no weights for '{repo_id}': {reason}. Put a file into the weights folder instead, or go on "
        "without."
    )

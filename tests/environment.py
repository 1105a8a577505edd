"""The environment that tests and the services they start see: nobody's own settings, and a core for each worker.

Two workers whose trainings take two threads each would be four threads on two cores: threads that wait for each other
there cost many times what they bring.
"""

from __future__ import annotations

import os

OWN = ("SIGHTGLASS_", "MLFLOW_")
THREADS = {"SIGHTGLASS_TORCH_THREADS": "1"} if "PYTEST_XDIST_WORKER" in os.environ else {}


def clean_environment() -> dict[str, str]:
    """For a process that a test starts."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OWN)} | THREADS

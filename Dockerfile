# syntax=docker/dockerfile:1
# Sightglass in containers: one image, three targets (api, worker, ui). `docker compose up` builds and starts them.
#
#   docker build --target worker --build-arg ACCELERATOR=cuda -t sightglass-worker:cuda .

# Debian's Python, no CUDA image: torch's CUDA wheels bring their own libraries and need only the host's driver.
ARG PYTHON_VERSION=3.11


FROM python:${PYTHON_VERSION}-slim-bookworm AS builder
# cpu: torch without CUDA, an image of about 2 GB. cuda: the locked wheel with its NVIDIA packages, about 8 GB.
ARG ACCELERATOR=cpu
# 1: Ray as well, for SIGHTGLASS_EXECUTOR=ray.
ARG WITH_RAY=0
ARG UV_VERSION=0.13.8

ENV UV_LINK_MODE=copy \
    UV_CACHE_DIR=/var/cache/uv \
    UV_HTTP_TIMEOUT=300 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

RUN python -m pip install --no-cache-dir "uv==${UV_VERSION}" \
 && python -m venv /opt/sightglass/venv

WORKDIR /opt/sightglass
COPY requirements/base.txt requirements/ray.txt requirements/
# Modules are compiled here: a start would else spend seconds on it, and the user who runs may not write beside them.
# The lock names CUDA's packages, for torch's own wheel needs them; the wheel without CUDA must not bring gigabytes along.
RUN --mount=type=cache,target=/var/cache/uv \
    set -eu; \
    case "${ACCELERATOR}" in \
      cpu) grep -vE '^(nvidia-|cuda-|triton)' requirements/base.txt > base.txt; backend=cpu ;; \
      cuda) cp requirements/base.txt base.txt; backend= ;; \
      *) echo "ACCELERATOR is '${ACCELERATOR}'; allowed are cpu and cuda." >&2; exit 1 ;; \
    esac; \
    cp base.txt wanted.txt; \
    if [ "${WITH_RAY}" = 1 ]; then grep -vxFf base.txt requirements/ray.txt >> wanted.txt; fi; \
    uv pip install --python venv/bin/python --compile-bytecode --no-deps ${backend:+--torch-backend "${backend}"} -r wanted.txt

COPY pyproject.toml run_backend.py README.md ./
COPY .streamlit .streamlit
COPY backend backend
COPY frontend frontend
COPY sample_datasets sample_datasets
RUN uv pip install --python venv/bin/python --no-deps --no-build-isolation --editable . \
 && venv/bin/python -m compileall -q backend frontend sample_datasets run_backend.py


FROM python:${PYTHON_VERSION}-slim-bookworm AS sightglass
# The arithmetic of torch and scikit-learn runs on libgomp. Its version is Debian's: mirrors keep only the newest.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 10001 sightglass \
 && useradd --uid 10001 --gid sightglass --home-dir /var/lib/sightglass --create-home --shell /usr/sbin/nologin sightglass \
 && install --directory --owner=sightglass --group=sightglass /data /weights
COPY --from=builder /opt/sightglass /opt/sightglass
ENV PATH=/opt/sightglass/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SIGHTGLASS_DATA_DIR=/data \
    SIGHTGLASS_WEIGHTS_DIR=/weights
WORKDIR /opt/sightglass
USER 10001:10001
VOLUME /data
STOPSIGNAL SIGTERM


FROM sightglass AS api
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
CMD ["sightglass", "serve", "--no-worker", "--host", "0.0.0.0", "--port", "8000"]


FROM sightglass AS worker
# Starting Python and asking the database takes a second or two, ten on a machine whose cores all train.
HEALTHCHECK --interval=60s --timeout=30s --start-period=120s --retries=3 CMD ["sightglass", "worker", "--check"]
CMD ["sightglass", "worker"]


FROM sightglass AS ui
EXPOSE 8501
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["sightglass", "ui", "--host", "0.0.0.0", "--port", "8501"]

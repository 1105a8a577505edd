"""A pool of machines through Ray: pieces of work become Ray tasks with declared cores and GPUs.

The only file that imports Ray; it is itself imported when the first piece of work is due. A task is a generator: what
it reports travels to the driver in the order it was said, the answer last, so that no actor stands between them. It
knows neither candidates nor images.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import ray
from ray import cloudpickle
from ray.exceptions import GetTimeoutError, RayError, RayTaskError, TaskCancelledError

from backend.config import Settings
from backend.contracts import Deadline, PoolAnswer, PoolTask, Progress, RunControl
from backend.contracts.pool import Parts
from backend.errors import DeadlineExceeded, InputError, JobCancelled, SightglassError, UnavailableError
from backend.execution.logs import configure_logging
from backend.execution.native import prepare_native_libraries
from backend.execution.pools import check_executor

log = logging.getLogger(__name__)

CONNECT_WITHIN_S = 60.0  # to a cluster that runs: 2 s, ten times that where the machine does six things at once
START_WITHIN_S = 180.0  # a Ray of its own took 15 s to start on two busy cores; it ends by itself where it cannot
POLL_S = 0.2
# A cancelled job is over within 5 s, and its process is told to go after 3: a task is asked, then ended.
ASKED_S = 1.0
DEADLINE_GRACE_S = 15.0  # bounded work ends by itself with the deadline; this is for work that does not
MOST_AT_ONCE = 64  # threads of the driver that wait for tasks
NAMESPACE = "sightglass"

Message = tuple[str, Any]
STARTED, PROGRESS, ANSWER, ERROR = "started", "progress", "answer", "error"


class RayPool:
    """Connects when it is first used, and lets everything go when the block is left."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._connected = False
        self._shared: dict[str, list[Any]] = {}
        self._stopping = threading.Event()
        self._left = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        with self._lock:
            self._shared.clear()
            if self._connected:
                self._connected = False
                ray.shutdown()
                self._left.set()

    @property
    def width(self) -> int:
        self._connect()
        room = sum(self._room_of(resources) for resources in _nodes())
        if room < 1:
            raise InputError(self._no_room())
        return min(MOST_AT_ONCE, room)

    def share(self, name: str, parts: Parts) -> None:
        self._connect()
        with self._lock:
            if name not in self._shared:
                self._shared[name] = [ray.put(part) for part in parts()]

    def run(self, task: PoolTask, *, control: RunControl) -> PoolAnswer:
        self._connect()
        blob = cloudpickle.dumps((task.work, task.payload))
        shared = {name: self._shared[name] for name in task.shared}
        attempts = self._settings.ray_attempts
        for attempt in range(1, attempts + 1):
            try:
                return self._attempt(task, (blob, shared), control=control, number=attempt)
            except RayTaskError as error:  # the node itself cannot do it: another version, a missing installation
                cause = str(error).strip().splitlines()[-1]
                raise UnavailableError(
                    f"A Ray node could not do '{task.name}': {cause}. Every node needs the same installation of "
                    "Sightglass."
                ) from error
            except RayError as error:
                lost = f"{type(error).__name__}: {str(error).splitlines()[0]}"
                log.warning("task lost", extra={"task": task.name, "attempt": attempt, "reason": lost})
                if not any(self._room_of(resources) for resources in _nodes()):
                    raise UnavailableError(f"'{task.name}' lost its node. {self._no_room()}") from error
                message = f"{task.name}: its node was lost; starting again on another"
                control.report(Progress(stage="training", message=message))
        raise UnavailableError(f"'{task.name}' lost its node {attempts} times; the last time: {lost}")

    def stop(self) -> None:
        self._stopping.set()

    def _attempt(
        self, task: PoolTask, sent: tuple[bytes, Mapping[str, list[Any]]], *, control: RunControl, number: int
    ) -> PoolAnswer:
        cores, gpus = self._settings.resolved_ray_cpus, self._settings.ray_gpus_per_trial
        remote = ray.remote(num_cpus=cores, num_gpus=gpus, max_retries=0, num_returns="streaming")(carry_out)
        left_s = control.deadline.remaining()
        stream = remote.options(name=f"sightglass {task.name}").remote(*sent, left_s, self._settings.log_level)
        try:
            return self._followed(stream, task, control=control, number=number)
        except RayError:
            raise
        except BaseException:
            _end(stream)
            raise

    def _followed(self, stream: Any, task: PoolTask, *, control: RunControl, number: int) -> PoolAnswer:
        """Pass on what a task reports until its answer comes; its error is raised here."""
        node, host = "", ""
        for kind, content in self._messages(stream, task=task, control=control):
            if kind == STARTED:
                node, host = content
            elif kind == PROGRESS:
                control.report(content)
            elif kind == ERROR:
                raise content
            else:
                return PoolAnswer(value=cloudpickle.loads(content), node=node, host=host, attempts=number)
        raise UnavailableError(f"'{task.name}' ended without an answer.")

    def _messages(self, stream: Any, *, task: PoolTask, control: RunControl) -> Iterator[Message]:
        """What the task says, as it says it; between two messages somebody may have cancelled."""
        late_at: float | None = None
        while True:
            control.check()
            if self._stopping.is_set():
                raise JobCancelled("The run was stopped.")
            if task.bounded and control.deadline.expired():
                late_at = late_at or time.monotonic() + DEADLINE_GRACE_S
                if time.monotonic() > late_at:
                    raise DeadlineExceeded(f"'{task.name}' did not end with the time budget, and was stopped.")
            ready, _ = ray.wait([stream], timeout=POLL_S)
            if ready:
                try:
                    yield ray.get(next(stream))
                except StopIteration:
                    return

    def _connect(self) -> None:
        with self._lock:
            if not self._connected:
                check_executor(self._settings)  # not before: an import of pictures needs no cluster
                self._left.clear()
                _initialise(self._settings, until=self._left)
                self._connected = True

    def _room_of(self, resources: Mapping[str, float]) -> int:
        """How many pieces of work a node of such resources holds at the same time."""
        room = resources.get("CPU", 0.0) / self._settings.resolved_ray_cpus
        if self._settings.ray_gpus_per_trial:
            room = min(room, resources.get("GPU", 0.0) / self._settings.ray_gpus_per_trial)
        return int(room + 1e-6)

    def _no_room(self) -> str:
        nodes = "; ".join(f"{node.get('CPU', 0):g} and {node.get('GPU', 0):g}" for node in _nodes()) or "none"
        return (
            f"A candidate needs {self._settings.resolved_ray_cpus:g} cores and {self._settings.ray_gpus_per_trial:g} "
            f"GPUs, and no node of the Ray cluster has both; nodes that are up have: {nodes}. Lower "
            "SIGHTGLASS_RAY_CPUS_PER_TRIAL or SIGHTGLASS_RAY_GPUS_PER_TRIAL, or add a node."
        )


def _nodes() -> list[Mapping[str, float]]:
    """Resources of the nodes that are up."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _initialise(settings: Settings, *, until: threading.Event) -> None:
    """Connect to the cluster, or start a Ray on this machine where no address is set; that one lives until `until`.

    Raises:
        UnavailableError: nobody answers in time; what answers is no Ray cluster.
    """
    failure: list[BaseException] = []
    answered = threading.Event()

    def connect() -> None:
        how: dict[str, Any] = {"namespace": NAMESPACE, "log_to_driver": False, "logging_level": logging.WARNING}
        if settings.ray_address is None:
            how |= {"address": "local", "include_dashboard": False}
        else:
            how["address"] = settings.ray_address
        try:
            ray.init(**how)
        except (RayError, OSError, RuntimeError, ValueError, TimeoutError) as error:
            failure.append(error)
        finally:
            answered.set()
        if not failure:  # Linux ends the processes of a Ray of our own with the thread that started them
            until.wait()

    # Ray waits for minutes where something answers that is no cluster, so somebody else waits for it.
    threading.Thread(target=connect, name="connect-ray", daemon=True).start()
    where = settings.ray_address or "this machine"
    within_s = START_WITHIN_S if settings.ray_address is None else CONNECT_WITHIN_S
    if not answered.wait(within_s):
        raise UnavailableError(f"The Ray cluster at '{where}' gave no answer within {within_s:.0f} s.")
    if failure:
        raise UnavailableError(
            f"The Ray cluster at '{where}' cannot be used ({str(failure[0]).splitlines()[0]}; SIGHTGLASS_RAY_ADDRESS). "
            "Is it up, and has this machine the same versions of Python and Ray?"
        ) from failure[0]


def _end(stream: Any) -> None:
    """Ask a task to stop; end its process where it does not listen."""
    try:
        ray.cancel(stream, force=False)
        until = time.monotonic() + ASKED_S
        while time.monotonic() < until:
            ready, _ = ray.wait([stream], timeout=POLL_S)
            if ready:
                ray.get(next(stream), timeout=POLL_S)
    except (StopIteration, TaskCancelledError):
        return
    except (RayTaskError, GetTimeoutError):
        pass
    except RayError:
        return
    try:
        ray.cancel(stream, force=True)
    except (RayError, ValueError) as error:
        log.warning("task not ended", extra={"reason": str(error)})


# --- what runs on a node


def carry_out(blob: bytes, shared: Mapping[str, list[Any]], left_s: float, log_level: str) -> Iterator[Message]:
    """The Ray task: does the work in a thread and passes on what it says, the answer or its error last."""
    prepare_native_libraries()  # before the work is unpickled: that loads torch
    configure_logging(log_level)
    context = ray.get_runtime_context()
    yield STARTED, (context.get_node_id(), ray.util.get_node_ip_address())
    outbox: queue.Queue[Message] = queue.Queue()
    stop = threading.Event()
    control = RunControl(
        report=lambda progress: outbox.put((PROGRESS, progress)),
        cancelled=stop.is_set,
        deadline=Deadline(None if left_s == float("inf") else left_s),
    )
    thread = threading.Thread(target=_work, args=(blob, shared, control, outbox.put), name="work", daemon=True)
    thread.start()
    try:
        while True:
            try:
                message = outbox.get(timeout=POLL_S)  # a cancellation reaches Python code only, never a lock
            except queue.Empty:
                continue
            yield message
            if message[0] in {ANSWER, ERROR}:
                return
    finally:
        stop.set()
        thread.join(ASKED_S)


def _work(blob: bytes, shared: Mapping[str, list[Any]], control: RunControl, send: Callable[[Message], None]) -> None:
    """A trial's edge on another machine: whatever goes wrong travels back."""
    try:
        work, payload = cloudpickle.loads(blob)
        answer = work(payload, shared=_Fetched(shared), control=control)
        send((ANSWER, cloudpickle.dumps(answer)))  # arrays out of Ray's own store could not be written to
    except SightglassError as error:
        send((ERROR, error))
    except Exception as error:
        log.exception("work failed")
        send((ERROR, RuntimeError(f"{type(error).__name__}: {error}")))  # the error itself may not travel


class _Fetched(Mapping[str, Iterable[Any]]):
    """Shared values by name; a part is fetched when it is read, so that what a node has on its disk never travels."""

    def __init__(self, shared: Mapping[str, list[Any]]) -> None:
        self._shared = shared

    def __getitem__(self, name: str) -> Iterable[Any]:
        return (ray.get(part) for part in self._shared[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._shared)

    def __len__(self) -> int:
        return len(self._shared)

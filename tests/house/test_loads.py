"""No file is opened in a way that runs code from it: pickles of unknown origin above all. Read from the syntax tree."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("backend", "frontend", "sample_datasets", "benchmarks", "docs")

# Loads that are safe only with these arguments, written out: a default may change, or a wrapper may lose it.
ANY_LIST = object()  # of types; not True, which means all
SAFE_WITH = {
    "skops.io.load": ("trusted", ANY_LIST),
    "skops.io.loads": ("trusted", ANY_LIST),
    "torch.load": ("weights_only", True),
    "numpy.load": ("allow_pickle", False),
}
# What runs code from what it reads, or from text.
FORBIDDEN = {
    "eval",
    "exec",
    "builtins.eval",
    "builtins.exec",
    "cloudpickle.load",
    "cloudpickle.loads",
    "ray.cloudpickle.load",
    "ray.cloudpickle.loads",
    "dill.load",
    "dill.loads",
    "joblib.load",
    "marshal.load",
    "marshal.loads",
    "mlflow.pyfunc.load_model",
    "numpy.core.multiarray._reconstruct",
    "os.system",
    "os.popen",
    "pandas.read_pickle",
    "pickle.Unpickler",
    "pickle.load",
    "pickle.loads",
    "shelve.open",
    "torch.hub.load",
    "torch.jit.load",
    "torch.package.PackageImporter",
    "torch.serialization.add_safe_globals",
    "yaml.full_load",
    "yaml.load",
    "yaml.unsafe_load",
}
# file -> (call, why what it reads is of known origin). An entry that is no longer needed fails a test below.
EXCEPTIONS = {
    "backend/execution/ray_pool.py": (
        "ray.cloudpickle.loads",
        "what this worker sent to its own Ray task, and that task's answer: both travel through the cluster alone",
    ),
    "backend/execution/frames.py": (
        "pickle.loads",
        "a socket pair between the API and a child that it started itself; nobody else can hold an end of it",
    ),
}


def imported_names(tree):
    """Name in this file -> what it stands for, such as `np` -> `numpy`."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def full_name(node, names):
    """`np.load` -> `numpy.load`; None for what is no plain name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute) and (owner := full_name(node.value, names)):
        return f"{owner}.{node.attr}"
    return None


def unsafe_loads(source):
    """(line, call) of every load that could run code."""
    tree = ast.parse(source)
    names = imported_names(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        call = full_name(node.func, names)
        if (
            call in FORBIDDEN
            or any(shell(keyword) for keyword in node.keywords)
            or (call in SAFE_WITH and not said(node, *SAFE_WITH[call]))
        ):
            yield node.lineno, call


def said(node, name, value):
    """Whether the call has that argument, written out."""
    given = next((keyword.value for keyword in node.keywords if keyword.arg == name), None)
    if value is ANY_LIST:
        return given is not None and not isinstance(given, ast.Constant)
    return isinstance(given, ast.Constant) and given.value is value


def shell(keyword):
    return keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)


def found():
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for line, call in unsafe_loads(path.read_text(encoding="utf-8")):
                yield path.relative_to(ROOT).as_posix(), line, call


def test_no_load_runs_code_from_a_file():
    assert [one for one in found() if EXCEPTIONS.get(one[0], ("",))[0] != one[2]] == []


def test_every_exception_is_still_needed_and_has_a_reason():
    needed = {(path, call) for path, _, call in found()}
    assert {(path, call) for path, (call, _) in EXCEPTIONS.items()} - needed == set()
    assert all(len(reason) > 20 for _, reason in EXCEPTIONS.values())


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load(p)",
        "import torch\ntorch.load(p, weights_only=False)",
        "import torch\ntorch.load(p, weights_only=safe)",
        "import torch as t\nt.load(p, map_location='cpu')",
        "from torch import load\nload(p)",
        "import numpy as np\nnp.load(p, mmap_mode='r')",
        "import numpy as np\nnp.load(p, allow_pickle=True)",
        "import pickle\npickle.loads(b)",
        "import pickle as p\np.Unpickler(f).load()",
        "from pickle import loads as read\nread(b)",
        "from ray import cloudpickle\ncloudpickle.loads(b)",
        "import joblib\njoblib.load(p)",
        "import skops.io\nskops.io.load(p)",
        "import skops.io as sio\nsio.load(p, trusted=True)",
        "import pandas as pd\npd.read_pickle(p)",
        "import yaml\nyaml.load(t)",
        "eval(t)",
        "import subprocess\nsubprocess.run(c, shell=True)",
    ],
)
def test_an_unsafe_load_would_be_noticed(source):
    assert len(list(unsafe_loads(source))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.load(p, map_location='cpu', weights_only=True)",
        "import numpy as np\nnp.load(p, allow_pickle=False)",
        "import pickle\nexcept_these = pickle.UnpicklingError",
        "import json\njson.loads(t)",
        "import skops.io\nskops.io.load(p, trusted=list(TRUSTED))",
        "module.eval()",
        "import yaml\nyaml.safe_load(t)",
    ],
)
def test_a_safe_one_is_let_through(source):
    assert list(unsafe_loads(source)) == []

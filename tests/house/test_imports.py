"""What must start fast loads nothing heavy: asked of `sys.modules` in a fresh process."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "timm", "sklearn", "mlflow", "ray", "pytorch_grad_cam", "onnx", "onnxruntime")
# What is imported together in one fresh process -> what must not come along.
LIGHT = {
    "backend.main, backend.workflows.train_images, backend.workflows.predict, backend.data": HEAVY,
    "backend.cli": HEAVY,
    "frontend.client": (*HEAVY, "backend"),
    "sample_datasets": (*HEAVY, "backend", "numpy", "PIL"),
}


def loaded_by(modules):
    program = f"import sys, {modules}; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("modules", LIGHT)
def test_a_fast_start_loads_nothing_heavy(modules):
    assert loaded_by(modules) & set(LIGHT[modules]) == set()


def test_the_question_would_notice_a_module_that_came_along():
    assert "PIL" in loaded_by("sample_datasets.packing")

import pytest
import torch
from torch.nn import functional

from backend.engine import depthwise as depthwise_module
from backend.engine.depthwise import QuickDepthwise


def gradients(inputs, weight, bias, upstream, **options):
    out = functional.conv2d(inputs, weight, bias, **options)
    return out, torch.autograd.grad(out, (inputs, weight, bias), upstream(out.shape))


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [(13, 5, 2, 2), (14, 5, 2, 0), (12, 3, 2, 1), (9, 7, 1, 3), (11, 5, 1, 2), (10, 5, 1, 0), (15, 7, 2, 3)],
)
def test_the_gradients_are_those_of_the_plain_convolution(size, kernel, stride, padding):
    torch.manual_seed(0)
    inputs = torch.randn(2, 6, size, size + 1, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, 1, kernel, kernel, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(6, dtype=torch.float64, requires_grad=True)

    def upstream(shape):
        return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    options = {"stride": stride, "padding": padding, "groups": 6}
    plain, expected = gradients(inputs, weight, bias, upstream, **options)
    with QuickDepthwise():
        quick, found = gradients(inputs, weight, bias, upstream, **options)
    assert "Depthwise" in str(quick.grad_fn.next_functions[0][0])  # the bias is added last
    torch.testing.assert_close(quick, plain)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(
    ("weight", "options"),
    [
        ((6, 1, 3, 3), {"groups": 6, "padding": 1}),  # quick already
        ((6, 6, 5, 5), {"padding": 2}),  # not depthwise
        ((6, 2, 5, 5), {"groups": 3, "padding": 2}),  # grouped
        ((6, 1, 5, 5), {"groups": 6, "dilation": 2, "padding": 4}),
        ((6, 1, 5, 5), {"groups": 6, "padding": "same"}),
        ((6, 1, 5, 1), {"groups": 6}),
    ],
)
def test_other_convolutions_are_left_alone(weight, options, monkeypatch):
    monkeypatch.setattr(depthwise_module._Depthwise, "apply", lambda *args: pytest.fail("touched"))
    inputs = torch.randn(1, 6, 12, 12, requires_grad=True)
    kernel = torch.randn(weight)
    with QuickDepthwise():
        out = functional.conv2d(inputs, kernel, **options)
    torch.testing.assert_close(out, functional.conv2d(inputs, kernel, **options))


def test_without_gradients_nothing_is_kept_for_them():
    inputs, weight = torch.randn(1, 6, 12, 12), torch.randn(6, 1, 5, 5)
    with QuickDepthwise(), torch.inference_mode():
        assert functional.conv2d(inputs, weight, groups=6).grad_fn is None


def test_in_bfloat16_the_gradients_agree_within_its_rounding():
    torch.manual_seed(0)
    inputs = torch.randn(4, 8, 14, 14).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(8, 1, 5, 5, requires_grad=True)
    exact = torch.autograd.grad(functional.conv2d(inputs, weight, padding=2, groups=8).sum(), (inputs, weight))
    with QuickDepthwise(), torch.autocast("cpu", dtype=torch.bfloat16):
        out = functional.conv2d(inputs, weight, padding=2, groups=8)
    assert out.dtype == torch.bfloat16
    rough = torch.autograd.grad(out.float().sum(), (inputs, weight))
    for one, other in zip(rough, exact, strict=True):
        assert one.dtype == torch.float32
        assert (one - other).abs().max() <= 0.02 * other.abs().max()


def test_the_windows_cover_every_kernel():
    for kernel in range(3, 12):
        covered = {offset + step for offset in depthwise_module._offsets(kernel) for step in range(3)}
        assert covered == set(range(kernel))

"""The kernels in C++ give what the forms in torch give, gradients included; they are built once."""

import re
from subprocess import CalledProcessError

import pytest
import torch

from danlu.contracts import DanluError
from danlu.laws import laws
from danlu.layers import kernels
from danlu.layers.scans import Run, normalised_scan, scalar_scan
from danlu.layers.scans.selective_scan import in_chunks, one_by_one
from danlu.training import Policy

pytestmark = pytest.mark.long

SERVED = r"recurrences/|mixers/(linear[^/]*|retention|mamba2?|norm-attention|performer)/"
LAWS = [law for law in laws() if re.match(SERVED, law.name)]
SIZES = [(2, 3, 2, 4, 5), (1, 2, 33, 5, 7), (1, 1, 64, 16, 16), (2, 2, 130, 17, 33)]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
@pytest.mark.usefixtures("float64")
def test_every_law_of_a_recurrence_holds_with_kernels(law):
    with kernels.compiled():
        assert law.measure() <= law.tolerance, law.statement


def leaves(*shapes):
    torch.manual_seed(0)
    return [torch.randn(*shape, dtype=torch.float64) for shape in shapes]


def results(function, inputs, dtype):
    """Outputs and gradients of a random weighing of them."""
    inputs = [part.to(dtype).requires_grad_() for part in inputs]
    y, state = function(*inputs)
    torch.manual_seed(1)
    weights = [torch.randn_like(part, dtype=torch.float64).to(dtype) for part in (y, state)]
    total = (y * weights[0]).sum() + (state * weights[1]).sum()
    return [y, state, *torch.autograd.grad(total, inputs)]


def decayed(form):
    def function(q, k, v, log_decay, state):
        return scalar_scan(q, k, v, -log_decay.abs(), state, run=Run(form=form))

    return function


def mean(form):
    def function(q, k, v, state):
        return normalised_scan(q.exp(), k.exp(), v, state.exp(), run=Run(form=form))

    return function


def selective(scan):
    def function(x, delta, rate, write, read, start):
        return scan(x, delta.abs(), -rate.abs(), write, read, start)

    return function


def agree(kernel, torch_form, inputs, dtype, tolerance):
    with kernels.compiled():
        found = results(kernel, inputs, dtype)
    expected = results(torch_form, inputs, torch.float64)
    for ours, exact in zip(found, expected, strict=True):
        scale = exact.abs().max().clamp(min=1)
        assert ((ours.double() - exact).abs().max() / scale) < tolerance


DIGITS = [(torch.float64, 1e-12), (torch.float32, 3e-5)]


@pytest.mark.parametrize(("dtype", "tolerance"), DIGITS)
@pytest.mark.parametrize("size", SIZES)
def test_decayed_sums_equal_the_recurrence(size, dtype, tolerance):
    batch, heads, length, keys, values = size
    long = (batch, heads, length)
    shapes = (*long, keys), (*long, keys), (*long, values), long, (batch, heads, keys, values)
    agree(decayed("chunked"), decayed("recurrent"), leaves(*shapes), dtype, tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), DIGITS)
@pytest.mark.parametrize("size", SIZES)
def test_means_equal_the_recurrence(size, dtype, tolerance):
    batch, heads, length, keys, values = size
    long = (batch, heads, length)
    shapes = (*long, keys), (*long, keys), (*long, values), (batch, heads, keys, values + 1)
    agree(mean("chunked"), mean("recurrent"), leaves(*shapes), dtype, tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), DIGITS)
@pytest.mark.parametrize("size", SIZES)
def test_the_selective_scan_equals_the_recurrence(size, dtype, tolerance):
    batch, _, length, states, channels = size
    long, memory = (batch, length), (channels, states)
    shapes = (
        (*long, channels), (*long, channels), memory, (*long, states), (*long, states),
        (batch, *memory),
    )  # fmt: skip
    agree(selective(in_chunks), selective(one_by_one), leaves(*shapes), dtype, tolerance)


def test_heads_that_share_keys_and_any_strides_are_taken():
    q, k, v = leaves((2, 40, 1, 6), (2, 40, 1, 6), (2, 40, 3, 5))

    def function(form):
        return lambda q, k, v: scalar_scan(
            *(part.transpose(1, 2) for part in (q, k, v)), None, run=Run(form=form)
        )

    agree(function("chunked"), function("recurrent"), (q, k, v), torch.float64, 1e-12)


def test_the_threads_share_the_work_and_change_no_result():
    shapes = (3, 50, 40), (3, 50, 40), (40, 4), (3, 50, 4), (3, 50, 4), (3, 40, 4)
    inputs, before = leaves(*shapes), torch.get_num_threads()
    found = []
    with kernels.compiled():
        for threads in (1, 8):
            torch.set_num_threads(threads)
            found.append(results(selective(in_chunks), inputs, torch.float64))
    torch.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def kernel_is_used():
    q = torch.randn(1, 1, 4, 2, requires_grad=True)
    nodes = [scalar_scan(q, q, q)[0].grad_fn]
    while nodes:
        node = nodes.pop()
        if "danlu_kernels" in node.name():
            return True
        nodes += [following for following, _ in node.next_functions if following is not None]
    return False


def test_they_serve_inside_the_context_alone():
    assert not kernel_is_used()
    with kernels.compiled():
        assert kernel_is_used()
        with kernels.compiled():
            pass
        assert kernel_is_used()
    assert not kernel_is_used()


def test_a_policy_asks_for_them():
    with Policy(kernels=True).applied():
        assert kernel_is_used()
    with Policy().applied():
        assert not kernel_is_used()


@pytest.mark.parametrize(
    "error", [RuntimeError("Ninja is required\nmore"), OSError(), CalledProcessError(1, "c++")]
)
def test_what_cannot_be_built_is_refused_in_one_line(monkeypatch, error):
    def load(*arguments, **settings):
        raise error

    monkeypatch.setattr(kernels, "_KERNELS", kernels.Kernels())
    monkeypatch.setattr("torch.utils.cpp_extension.load", load)
    with pytest.raises(DanluError, match="cannot be built here") as caught, kernels.compiled():
        pass
    assert "\n" not in str(caught.value)
    assert not kernel_is_used()

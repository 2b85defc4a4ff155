"""Mamba against transformers and mambapy, with copied weights, outputs and gradients."""

import pytest
import torch

from danlu.backbones.transformer import Transformer
from danlu.mixers.mamba import Mamba
from danlu.mixers.s4 import diagonal_and_rank_one

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("float64")]

NAMES = {
    "in_proj": "inward",
    "conv1d": "convolution",
    "x_proj": "select",
    "dt_proj": "delta",
    "A_log": "log_rate",
    "D": "skip",
    "out_proj": "output",
}
"""Theirs, of both peers, and ours."""


def converted(weights):
    """A peer's parameters of one mixer under our names."""
    found = {}
    for path, value in weights.items():
        name, _, rest = path.partition(".")
        value = value[:, 0] if path == "conv1d.weight" else value
        found[f"{NAMES[name]}.{rest}" if rest else NAMES[name]] = value
    return found


def compared(ours, theirs, x, *, tolerance=1e-9):
    results = []
    for function in (ours, theirs):
        given = x.clone().requires_grad_()
        y = function(given)
        (slope,) = torch.autograd.grad(y.sin().sum(), given)
        results.append((y.detach(), slope))
    torch.testing.assert_close(results[0], results[1], rtol=tolerance, atol=tolerance)


def test_mambapy_gives_the_same():
    from mambapy.mamba import MambaBlock, MambaConfig

    theirs = MambaBlock(MambaConfig(d_model=8, n_layers=1, d_state=4)).double()
    ours = Mamba(8, states=4).double()
    ours.load_state_dict(converted(theirs.state_dict()))
    compared(lambda x: ours(x)[0], theirs, torch.randn(2, 37, 8))


def test_a_model_of_transformers_gives_the_same_features():
    from transformers import MambaConfig, MambaModel

    config = MambaConfig(
        vocab_size=11, hidden_size=16, state_size=4, num_hidden_layers=3, layer_norm_epsilon=1e-6
    )
    theirs = MambaModel(config).double().eval()
    ours = Transformer(16, 3, [lambda dim, layer, depth: Mamba(dim, states=4)]).double().eval()
    with torch.no_grad():
        for block, layer, norm in zip(theirs.layers, ours.layers, ours.norms, strict=True):
            layer.load_state_dict(converted(block.mixer.state_dict()))
            norm.gain.copy_(block.norm.weight)
        ours.final.gain.copy_(theirs.norm_f.weight)

    def features(x):
        return theirs(inputs_embeds=x, use_cache=False).last_hidden_state

    # Their decay passes through float32.
    compared(lambda x: ours(x)[0], features, torch.randn(2, 21, 16), tolerance=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the import
def test_the_start_of_s4_is_that_of_s5():
    from s5.init import make_DPLR_HiPPO

    found, expected = diagonal_and_rank_one(8), make_DPLR_HiPPO(8)[:3]
    half = [torch.as_tensor(part)[4:] for part in expected]
    torch.testing.assert_close(found[0], half[0])
    # Eigenvectors are known up to a phase, which the products do not have.
    for ours, theirs in zip(found[1:], half[1:], strict=True):
        torch.testing.assert_close(ours.abs(), theirs.abs())
    torch.testing.assert_close(found[1] * found[2].conj(), half[1] * half[2].conj())

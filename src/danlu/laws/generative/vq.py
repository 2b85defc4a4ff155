"""Laws of the VQ-VAE: gradients of its loss, decoding of ids, the bound."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from danlu.contracts import Batch, Classes, DataDescription, Progress
from danlu.generative.chain_options import Output
from danlu.generative.quantized.vq_vae import COMMITMENT, VQVAE, build
from danlu.generative.tiny import TINY, TINY_VECTOR
from danlu.generative.vae.vae import build as build_vae
from danlu.generative.vq import vq
from danlu.laws.draws import seed, seeded
from danlu.laws.gaps import excess, gap, largest
from danlu.laws.generative.diffusion.test_bed import item_noise
from danlu.laws.law import Rows, table
from danlu.laws.layers.codebook import all_ids

PROGRESS = Progress(step=0, fraction=0.0, seed=3)


def started(description: DataDescription, codes: int = 8) -> tuple[VQVAE, Batch]:
    """A tiny VQ-VAE away from its start, its codebook among its tokens, and data."""
    with seeded():
        model = build(description, codes=codes, dim=3, width=8).double()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        x = torch.rand(6, *description.shape, dtype=torch.float64) * 2 - 1
        batch = Batch(x, None, torch.arange(6))
        model.start(batch)
    return model, batch


class Held(nn.Module):
    """Tokens that are parameters, in place of an encoder."""

    def __init__(self, z: Tensor) -> None:
        super().__init__()
        self.z = nn.Parameter(z)

    def forward(self, x: Tensor) -> Tensor:
        """The tokens, whatever the data."""
        return self.z


def gradient() -> float:
    """Tokens get the decoder's gradient at their codes and the pull towards them."""
    worst = 0.0
    for description in (TINY, TINY_VECTOR):
        model, batch = started(description)
        block = model.block
        block.encoder = Held(block.tokens(batch.x).detach())
        z = block.encoder.z
        (found,) = torch.autograd.grad(model.loss(batch, "model", PROGRESS).total, z)
        e = block.codebook.lookup(block.codebook.nearest(z)).requires_grad_()
        log_prob = block.likelihood.log_prob(batch.x, block.decoder(e)).mean()
        (at_code,) = torch.autograd.grad(-log_prob / description.dims, e)
        expected = at_code + 2 * COMMITMENT * (z - e) / z.numel()
        worst = largest(worst, gap(found, expected))
    return worst


def round_trip() -> float:
    """Decoding ids is reconstruction, bit for bit."""
    worst = 0.0
    for description in (TINY, TINY_VECTOR):
        model, batch = started(description)
        ids = model.encode(batch.x, seed=seed(4))
        assert isinstance(ids, Tensor)
        found = model.decode(ids, seed=seed(4)) - model.reconstruct(batch.x, seed=seed(4))
        book = model.block.codebook
        again = book.nearest(book.lookup(ids)) - ids
        worst = largest(worst, gap(found, 0.0), gap(again, 0.0))
    return worst


def bound() -> float:
    """Log p(k) + log p(x|k) is one term of log p(x), hence below it."""
    model, batch = started(TINY_VECTOR, codes=3)
    found, block = model.log_prob(batch.x).value, model.block
    ids = all_ids(model.prior.description.dims, 3)
    prior = model.prior.evidence(ids, item_noise(len(ids)), None, None).value
    output = block.output(ids)
    terms = torch.stack(
        [
            prior + block.likelihood.log_prob(x.expand(len(ids), -1), output)
            for x in batch.x.unbind()
        ]
    )
    own = block.codebook.nearest(block.tokens(batch.x))
    index = (own[:, None] == ids).all(2).double().argmax(1)
    term = terms.gather(1, index[:, None])[:, 0]
    return largest(excess(found, terms.logsumexp(1)), gap(found, term))


def ids_sum() -> float:
    """The probabilities of all ids sum to 1, by class and without."""
    with seeded(1):
        prior = vq(
            replace(TINY_VECTOR, condition=Classes(2)), codes=3, prior_width=16
        ).prior.double()
        with torch.no_grad():
            for parameter in prior.parameters():
                parameter.add_(0.5 * torch.randn_like(parameter))
    ids, worst = all_ids(prior.description.dims, 3), 0.0
    for condition in (None, 0, 1):
        mass = prior.log_prob(ids.double(), condition=condition).value.exp().sum()
        worst = largest(worst, gap(mass.item(), 1))
    return worst


def outputs_as_means() -> float:
    """Samples as means are what a Gaussian's decoder says."""
    model, batch = started(TINY_VECTOR)
    with seeded():
        other = build_vae(TINY_VECTOR, latent=2, width=4).double()
        for parameter in other.parameters():
            parameter.data.add_(0.3 * torch.randn_like(parameter))
    ids, code = model.encode(batch.x), other.encode(batch.x)
    assert isinstance(code, Tensor)
    assert isinstance(ids, Tensor)
    pairs = ((model, ids), (other, code))
    found = [chain.expand(each, None, item_noise(6), Output.MEAN) for chain, each in pairs]
    quantised = model.block.decoder(model.block.codebook.vectors[ids])
    return gap(found, [quantised, other.block.output(code, None)])


def codes_in_training() -> float:
    """Codes are revived in the first half, and end as means of their tokens."""
    worst = 0.0
    for fraction, moves in ((0.0, True), (0.499, True), (0.5, False), (0.9, False)):
        model, _ = started(TINY_VECTOR, codes=4)
        book = model.block.codebook
        with torch.no_grad():
            book.shares[0], book.sums[0] = 1e-9, 1e-9 * book.vectors[0]
        before = book.vectors.clone()
        model.after_step("model", replace(PROGRESS, fraction=fraction))
        worst = largest(worst, float(bool((book.vectors != before).any()) != moves))
    model, batch = started(TINY_VECTOR, codes=2)
    z, book = model.block.tokens(batch.x).detach(), model.block.codebook
    own = book.nearest(z)
    model.finish([batch])
    means = torch.stack([z[own == code].mean(0) for code in range(2)])
    return largest(worst, gap(book.vectors, means))


_LAWS: Rows = {
    "definition": [
        ("vq/means", 1e-12, outputs_as_means),
        ("vq/training", 1e-9, codes_in_training),
    ],
    "automatic differentiation": [
        ("vq/gradient", 1e-12, gradient),
    ],
    "self-consistency": [
        ("vq/round-trip", 0.0, round_trip),
    ],
    "enumeration": [
        ("vq/ids", 1e-12, ids_sum),
        ("vq/bound", 1e-12, bound),
    ],
}

LAWS = table(_LAWS)

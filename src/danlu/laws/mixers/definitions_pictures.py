"""Definitions of the layers of pictures and codebooks."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from danlu.laws.draws import generator, seed, seeded
from danlu.laws.gaps import gap, largest
from danlu.laws.layers.definitions_layers import attended, centred, everything, silu
from danlu.laws.mixers.definitions import Errors, module, module_laws, moved, numbers, slopes
from danlu.layers.codebook import Codebook
from danlu.layers.convolution import ResidualBlock, SelfAttention2d, groups


def grouped(x: Tensor, count: int) -> Tensor:
    """Each group of channels of a picture less its mean, over its deviation, epsilon 1e-5."""
    parts = [centred(part.flatten(1), 1e-5) for part in x.chunk(count, dim=1)]
    return torch.cat(parts, dim=1).reshape(x.shape)


def convolved(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A convolution of 3 x 3 or 1 x 1 with zeros around, as a sum over its taps."""
    reach = weight.shape[-1] // 2
    padded = nn.functional.pad(x, (reach,) * 4)
    total = bias[:, None, None].expand(len(x), -1, *x.shape[2:])
    for i in range(weight.shape[2]):
        for j in range(weight.shape[3]):
            part = padded[:, :, i : i + x.shape[2], j : j + x.shape[3]]
            total = total + torch.einsum("bchw,oc->bohw", part, weight[:, :, i, j])
    return total


def residual() -> float:
    """A residual block from 16 channels to 24, and one of 16, against its formula."""
    worst, x, features = 0.0, numbers(2, 16, 3, 4), numbers(2, 5, stream=1)
    for wide in (24, 16):
        layer = moved(ResidualBlock(16, wide, 5).double())
        w = dict(layer.named_parameters())

        def formula(x: Tensor, features: Tensor, w: Any = w, wide: int = wide) -> Tensor:
            h = (
                grouped(x, 2) * w["norm_in.weight"][:, None, None]
                + w["norm_in.bias"][:, None, None]
            )
            h = convolved(silu(h), w["conv_in.weight"], w["conv_in.bias"])
            both = features @ w["modulate.weight"].T + w["modulate.bias"]
            scale, shift = both[..., None, None].chunk(2, dim=1)
            h = silu((1 + scale) * grouped(h, 2) + shift)
            h = convolved(h, w["conv_out.weight"], w["conv_out.bias"])
            skip = x if wide == 16 else convolved(x, w["skip.weight"], w["skip.bias"])
            return skip + h

        inputs, weights = [x, features], list(w.values())
        found = slopes(lambda *parts, layer=layer: layer(*parts), inputs, weights)
        worst = largest(worst, gap(found, slopes(formula, inputs, weights)))
    return worst


def pictured(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """X plus attention of all pixels to all, 2 heads."""
    h = grouped(x, 2) * w["norm.weight"][:, None, None] + w["norm.bias"][:, None, None]
    qkv = convolved(h, w["qkv.weight"], w["qkv.bias"]).flatten(2).unflatten(1, (3, 2, -1))
    q, k, v = qkv.transpose(-2, -1).unbind(1)
    y = attended(q, k, v, everything, q.shape[-1] ** -0.5).transpose(-2, -1)
    return x + convolved(y.reshape(x.shape), w["out.weight"], w["out.bias"])


def group_sizes() -> float:
    """Groups that are not the largest of 32, 16, 8, 4, 2 with 8 channels each, or one."""
    expected = {7: 1, 8: 1, 16: 2, 24: 2, 32: 4, 48: 4, 64: 8, 96: 8, 128: 16, 256: 32, 320: 32}
    return float(sum(groups(channels) != count for channels, count in expected.items()))


# --- codes --------------------------------------------------------------------------


def codes() -> float:
    """A codebook over three updates, one with revival, against its formulas cell by cell."""
    book, worst = Codebook(4, 3, dead_below=0.2).double().train(), 0.0
    shares, codes = torch.full((4,), 0.25).double(), book.vectors.clone()
    sums = codes / 4
    for step in range(3):
        z = numbers(40, 3, stream=step) + (4.0 if step == 2 else 0.0)
        y, ids = book(z.requires_grad_())
        (slope,) = torch.autograd.grad((y * codes[0]).sum(), z)
        nearest = (z[:, None] - codes).square().sum(-1).argmin(1)
        worst = largest(
            worst, gap([y, ids, slope], [codes[nearest], nearest, codes[0].expand(40, 3)])
        )
        book.update()
        for cell in range(4):
            inside = z.detach()[nearest == cell]
            shares[cell] = 0.95 * shares[cell] + 0.05 * len(inside) / 40
            sums[cell] = 0.95 * sums[cell] + 0.05 * inside.sum(0) / 40
        codes = sums / shares[:, None]
        worst = largest(worst, gap([book.vectors, book.shares], [codes, shares]))
    return largest(worst, _revival(book, shares, codes), _started())


def _started() -> float:
    """Ten Lloyd steps from rows that are drawn, and the effective number of codes."""
    book, z = Codebook(3, 2, dead_below=0.0).double(), numbers(20, 2)
    with seeded(1):
        book.start(z)
    with seeded(1):
        codes = z[torch.randperm(20)[:3]]
    for _ in range(10):
        nearest = (z[:, None] - codes).square().sum(-1).argmin(1)
        codes = torch.stack(
            [z[nearest == n].mean(0) if (nearest == n).any() else codes[n] for n in range(3)]
        )
    share = torch.tensor([0.5, 0.25, 0.25])
    spread = book.perplexity(torch.tensor([0, 0, 1, 2]))
    return largest(gap(book.vectors, codes), gap(spread, (-share * share.log()).sum().exp()))


def _revival(book: Codebook, shares: Tensor, codes: Tensor) -> float:
    """The busiest cell in two halves, 0.01 of the size of the codes to both sides."""
    book.shares[2] = shares[2] = 0.19 / 4
    alive = gap(book.used(), torch.tensor(3.0))
    book.revive(seed(3))
    busiest = int(shares.argmax())
    move = 0.01 * codes.square().mean().sqrt()
    move = move * torch.randn(3, generator=generator(3))
    halves = torch.stack([codes[busiest] - move, codes[busiest] + move])
    each = (shares[busiest] + shares[2]) / 2
    pair = [busiest, 2]
    return largest(
        alive,
        gap(book.vectors[pair], halves),
        gap(book.shares[pair], each.expand(2)),
        gap(book.sums[pair], each * halves),
    )


DEFINED: dict[str, Errors] = {
    "codebook": {"Codebook": codes},
    "convolution": {
        "groups": group_sizes,
        "ResidualBlock": residual,
        "SelfAttention2d": lambda: module(
            partial(SelfAttention2d, 16, heads=2), pictured, 2, 16, 2, 3
        ),
    },
}

LAWS = module_laws(DEFINED)

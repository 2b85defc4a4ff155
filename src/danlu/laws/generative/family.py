"""Laws of every generative family, and of one's own: the contract, on tiny images and vectors."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from danlu.contracts import (
    CapabilityError,
    Measure,
    built,
)
from danlu.generative import FAMILIES
from danlu.generative.base import CAPABILITIES, GenerativeModel
from danlu.generative.tiny import TINY
from danlu.laws.draws import seed
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.costs import evaluations, networks
from danlu.laws.generative.parts_of_a_batch import ROUNDING, parts_error
from danlu.laws.generative.subjects import (
    ENTROPY,
    Build,
    N,
    conditions,
    examples,
    plays,
    seeded_loss,
    tiny,
    uses,
)
from danlu.laws.law import Law, Rows, table
from danlu.laws.mixers.sequences import refused


def batch_size(build: Build) -> float:
    """Samples drawn together and two at a time."""
    worst = 0.0
    for model in tiny(build):
        for condition in conditions(model):
            draw = partial(model.sample, N, condition=condition, seed=seed(3))
            worst = largest(worst, gap(draw(), draw(batch=2)))
    return worst


def batch_likelihood(build: Build) -> float:
    """The likelihood of two examples alone and among others."""
    worst = 0.0
    for model in tiny(build):
        x = examples(model.description).x
        for ids in conditions(model):
            some = None if ids is None else ids[:2]
            alone = model.log_prob(x[:2], condition=some)
            among = model.log_prob(x, condition=ids)
            worst = largest(worst, gap(alone.value, among.value[:2]))
            worst = largest(worst, gap(alone.stderr, among.stderr[:2]))
    return worst


def purity(build: Build) -> float:
    """Change of parameters and buffers by every loss, and by every use in training mode."""
    worst = 0.0
    for model in tiny(build):
        batches = list(plays(model))
        values = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        before = {name: value.detach().clone() for name, value in values.items()}
        within = {"encode", "decode"} if "reconstruct" in model.can else set()
        model.train()
        for name, use in uses(model).items():
            if name in model.can - within:
                use()
        for mode in (True, False):
            model.train(mode)
            for name, batch in batches:
                seeded_loss(model, name, batch)
        for name, value in before.items():
            change = values[name].double() - value.double()  # flags do not subtract
            worst = largest(worst, gap(change, 0.0))
    return worst


def capabilities(build: Build) -> float:
    """Declared capabilities that fail or give a wrong shape, undeclared ones that do not refuse."""
    wrong = 0
    for model in tiny(build):
        for name, use in uses(model).items():
            try:
                found = use()
            except CapabilityError:
                wrong += name in model.can
                continue
            wrong += name not in model.can or len(found) != N
            if name in ("sample", "decode", "reconstruct"):
                wrong += tuple(found.shape[1:]) != model.description.shape
        wrong += not model.can <= set(CAPABILITIES)
    return float(wrong)


def likelihood(build: Build) -> float:
    """Likelihoods that are not finite, are mislabelled, or give bits where they must not."""
    wrong = 0
    for model in tiny(build):
        batch = examples(model.description)
        for condition in conditions(model):
            found = model.log_prob(batch.x, condition=condition)
            counted = found.measure is Measure.COUNTING
            wrong += not bool(found.value.isfinite().all() and found.stderr.isfinite().all())
            wrong += counted and model.description.levels is None
            wrong += found.condition != ("none" if condition is None else "class")
            wrong += found.dims != model.description.dims
            wrong += (refused(found.bits_per_dim) == 0.0) == counted
    return float(wrong)


def gradients(build: Build) -> float:
    """Parameters without a finite gradient from their player's loss, losses that do not repeat."""
    wrong = 0.0
    for model in tiny(build):
        for name, batch in plays(model):
            losses = seeded_loss(model, name, batch)
            owned = [p for module in model.players()[name] for p in module.parameters()]
            found = torch.autograd.grad(losses.total, owned, allow_unused=True)
            wrong += sum(g is None or not bool(g.isfinite().all()) for g in found)
            wrong += gap(seeded_loss(model, name, batch).total, losses.total)
            wrong += not losses.parts
    return float(wrong)


def parts(build: Build, n: int = N) -> float:
    """Gradients, losses and stashed sums of a batch in parts, against the whole."""
    return parts_error(tiny(build), partial(plays, n=n), seeded_loss, seed(ENTROPY))


def state(build: Build) -> float:
    """Samples of a model and of another one that was given its state."""
    worst = 0.0
    for model, other in zip(tiny(build), tiny(build), strict=True):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.01)
        other.load_state_dict(model.state_dict())
        found, copied = (m.sample(N) for m in (model, other))
        worst = largest(worst, gap(found, copied))
    return worst


def bad_input(build: Build) -> float:
    """Bad class ids, shapes and options that are not answered by a `DanluError`."""
    wrong = 0.0
    for model in tiny(build):
        classes = model.description.classes
        attempts: list[Callable[[], Any]] = [
            lambda m=model: m.sample(N, condition=m.description.classes),
            lambda m=model: m.sample(N, condition=-1),
            lambda m=model: m.sample(N, condition=torch.zeros(N + 1, dtype=torch.long)),
            lambda m=model: m.sample(N, options="fast"),
        ]
        if "log_prob" in model.can:
            attempts.append(lambda m=model: m.log_prob(torch.zeros(N, 3, 1).double()))
        if not classes:
            attempts.append(lambda m=model: m.sample(N, condition=0))
        wrong += sum(map(refused, attempts))
    return wrong


CONTRACT: Rows = {
    "contract": [
        ("purity", "use and loss change no parameter and no buffer", 0.0, purity),
        ("capabilities", "what is declared works, what is not is refused", 0.0, capabilities),
        ("likelihood", "log_prob is finite and rightly labelled", 0.0, likelihood),
        (
            "gradients",
            "each loss repeats and reaches all its player's weights",
            0.0,
            gradients,
        ),
        ("bad-input", "bad classes, shapes and options are refused", 0.0, bad_input),
        (
            "evaluations",
            "samples and likelihoods call networks as often as they promise",
            0.0,
            evaluations,
        ),
        ("networks", "all networks that are called are named, and no others", 0.0, networks),
    ],
    "self-consistency": [
        ("batch-size", "a sample does not depend on how many are drawn at once", 1e-12, batch_size),
        ("batch-likelihood", "a likelihood does not depend on its batch", 1e-9, batch_likelihood),
        (
            "parts",
            "losses and gradients of parts of a batch add up, unless the loss couples examples",
            ROUNDING,
            parts,
        ),
        ("state", "a model with another's state is that model", 0.0, state),
    ],
}


def family_laws(name: str, build: Build) -> list[Law]:
    """The rows for one family; `build(description)` makes a model."""
    can = built(name, GenerativeModel, build, TINY).can
    lacking = set() if "sample" in can else {"batch-size", "state"}
    lacking |= set() if "log_prob" in can else {"likelihood", "batch-likelihood"}
    lacking |= set() if can & {"sample", "log_prob"} else {"evaluations"}
    rows = table(CONTRACT, prefix=f"family/{name}/", given=(build,))
    return [law for law in rows if law.name.rpartition("/")[2] not in lacking]


LAWS = [law for name, method in FAMILIES.items() for law in family_laws(name, method.build)]

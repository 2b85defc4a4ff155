"""Laws of every generative family, and of one's own: the contract, on tiny images and vectors."""

from collections.abc import Callable, Iterator
from dataclasses import fields, make_dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from danlu.contracts import (
    Batch,
    CapabilityError,
    DanluError,
    DataDescription,
    Measure,
    Progress,
    Stage,
    built,
)
from danlu.data import Examples, ExampleStream
from danlu.generative import FAMILIES
from danlu.generative.base import CAPABILITIES, GenerativeModel
from danlu.generative.tiny import TINY, TINY_VECTOR
from danlu.laws.draws import generator, seed, seeded
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.parts import ROUNDING, parts_error
from danlu.laws.law import Law, Rows, table
from danlu.laws.mixers.sequences import refused

Build = Callable[..., GenerativeModel]

N, ENTROPY = 5, 7
CHEAP = {"draws": 2, "likelihood_steps": 2, "probes": 2, "evaluations": 2, "terms": 2}
"""Values of options that make a call cheap, where a family has them."""


def tiny(build: Build) -> Iterator[GenerativeModel]:
    """Tiny models in float64 for images with classes and for vectors without.

    A family may refuse vectors, which have no levels; images it must take.
    """
    for description in (TINY, TINY_VECTOR):
        with seeded(ENTROPY):
            try:
                model = build(description)
            except DanluError:
                if description.levels is not None:
                    raise
                continue
        yield quick(model.double().eval())


def examples(description: DataDescription, n: int = N) -> Batch:
    """A batch of random data."""
    source = generator()
    shape = (n, *description.shape)
    if description.levels:
        level = torch.randint(description.levels, shape, generator=source)
        x = description.low + level * description.spacing
    else:
        x = torch.randn(shape, generator=source)
    classes = torch.arange(n) % description.classes if description.classes else None
    return Batch(x.double(), classes, torch.arange(n))


def class_ids(model: GenerativeModel) -> Tensor | None:
    """Ids for N examples; None where the model takes none."""
    classes = model.description.classes
    return torch.arange(N) % classes if classes and "condition" in model.can else None


def conditions(model: GenerativeModel) -> list[Any]:
    """None, and class ids where the model takes them."""
    ids = class_ids(model)
    return [None] if ids is None else [None, ids]


def quick(model: Any) -> Any:
    """The model; what its options and those of its parts leave out is quick from here on."""
    for part in model.modules():
        if isinstance(part, GenerativeModel):
            there = {f.name for f in fields(part.Options) if f.default is not None}
            quick = [(name, int, few) for name, few in CHEAP.items() if name in there]
            bases = {"bases": (part.Options,), "frozen": True, "kw_only": True}
            setattr(part, "Options", make_dataclass("Quick", quick, **bases))  # noqa: B010
    return model


def cheap(model: GenerativeModel) -> Any:
    """Options under which a call is quick."""
    return quick(model).Options()


def plays(model: GenerativeModel, n: int = N) -> Iterator[tuple[str, Batch]]:
    """Every player with a batch of the stage in which it plays."""
    batch = examples(model.description, n)
    data = ExampleStream(
        Examples(batch.x, batch.condition, model.description), model.description, batch=n, seed=0
    )
    for stage in model.stages():
        batch = next(prepared(model, stage, data))
        for name in dict.fromkeys(play.name for play in stage.plays):
            yield name, batch


def prepared(model: GenerativeModel, stage: Stage, data: ExampleStream) -> Any:
    """The stream of a stage."""
    data.seek(0)
    return stage.prepare(model, data) if stage.prepare else data


def seeded_loss(model: GenerativeModel, name: str, batch: Batch) -> Any:
    """The losses of one play after seeding torch as the trainer does."""
    with seeded(ENTROPY):
        return model.loss(batch, name, Progress(step=0, fraction=0.5, seed=ENTROPY))


def uses(model: GenerativeModel) -> dict[str, Callable[[], Tensor]]:
    """A call of each capability whose result has the shape of the data, or a value each."""
    batch = examples(model.description)
    ids = class_ids(model)
    code = cache(lambda: model.encode(batch.x, condition=ids))
    decoded = code if "encode" in model.can else lambda: batch.x
    return {
        "sample": lambda: model.sample(N, condition=ids),
        "log_prob": lambda: model.log_prob(batch.x, condition=ids).value,
        "encode": lambda: _first(code()),
        "decode": lambda: model.decode(decoded(), condition=ids),
        "reconstruct": lambda: model.reconstruct(batch.x, condition=ids),
    }


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
            wrong += found.evaluations < 1 or found.dims != model.description.dims
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


def _first(code: Any) -> Tensor:
    return code[0] if isinstance(code, tuple) else code


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
    rows = table(CONTRACT, prefix=f"family/{name}/", given=(build,))
    return [law for law in rows if law.name.rpartition("/")[2] not in lacking]


LAWS = [law for name, method in FAMILIES.items() for law in family_laws(name, method.build)]

"""Laws of language models: every causal mixer on rows small enough to enumerate, and masks."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations, product

import torch
from torch import Tensor

from danlu.backbones.named import fitting
from danlu.contracts import Batch, DataDescription, DataKind, Progress, SequenceContext
from danlu.contracts.noise import BatchNoise, ItemNoise
from danlu.data.packing import PackedBatch
from danlu.generative.autoregressive.choosing import AutoregressiveOptions, allowed, pick
from danlu.generative.autoregressive.language import LanguageModel, LanguageOptions, build
from danlu.generative.masked.masked import build as build_masked
from danlu.laws.draws import generator, seed, seeded
from danlu.laws.gaps import gap, largest, rarity, sigmas
from danlu.laws.law import Case, Law, Rows, law_of_cases, table
from danlu.mixers import MIXERS
from danlu.mixers.base import Mixer

LENGTH, LETTERS = 4, "abc"
TEXT = DataDescription(
    kind=DataKind.TEXT, shape=(LENGTH,), levels=3, low=0.0, high=2.0, alphabet=LETTERS
)
PROGRESS = Progress(step=0, fraction=0.0, seed=0)


def tiny(mixer: str, description: DataDescription = TEXT) -> LanguageModel:
    """A small model whose probabilities are far from equal."""
    with seeded(3):
        model = build(description, mixer=mixer, dim=8, depth=1, heads=2).double().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def strict_mixers() -> list[str]:
    """The causal rows whose past is the past alone."""
    return [name for name in fitting(causal=True) if MIXERS[name].target.strict]


def totals() -> Iterable[Case]:
    """Probabilities of all rows sum to 1."""
    rows = torch.tensor(list(product(range(3), repeat=LENGTH))).double()
    for name in strict_mixers():
        yield name, lambda n=name: gap(tiny(n).log_prob(rows).value.exp().sum().item(), 1)


def naive(model: LanguageModel, options: LanguageOptions, given: list[int]) -> Tensor:
    """Rows drawn by reading everything again for each token."""
    noise = ItemNoise(seed(5), range(3), dtype=torch.float64)
    length, reach = options.length or 0, options.reach or 10**9
    rows, start = torch.tensor([given] * 3).long(), max(0, len(given) - reach + 1)
    first = model.embedding.vector(None, 3)[:, None]
    for _ in range(length):
        if 1 + rows.shape[1] - start > reach:  # the older half is forgotten
            start = rows.shape[1] - reach // 2
        y, _ = model.stack(torch.cat([first, model.tokens(rows[:, start:])], dim=1))
        chosen = pick(allowed(model.logits(y[:, -1]), options), noise.uniform(1)[:, 0])
        rows = torch.cat([rows, chosen[:, None]], dim=1)
    return rows


def generation() -> Iterable[Case]:
    """Drawn from the state as from all anew."""
    options = LanguageOptions(prompt="ab", length=6, reach=5, temperature=0.8)
    for name in strict_mixers():

        def error(name: str = name) -> float:
            model = tiny(name)
            with torch.no_grad():
                expected = naive(model, options, [0, 1])
            return gap(model.sample(3, seed=seed(5), options=options), expected)

        yield name, error


def choices() -> float:
    """Top-k and top-p keep what their definitions say."""
    source = generator()
    worst = 0.0
    for trial in range(12):
        p = torch.randint(1, 6, (5,), generator=source).double()  # ties are common
        p = p / p.sum()
        k, top = 1 + trial % 5, (0.151, 0.507, 0.753, 0.907, 1.0)[trial % 5]
        options = AutoregressiveOptions(top_k=k, top_p=top)
        expected = torch.zeros(5).double()
        kept = _likeliest(p, range(5), k)
        inside = sum(p[i] for i in kept)
        sets = (s for size in range(1, k + 1) for s in combinations(kept, size))
        reached = next(s for s in sets if sum(p[i] for i in s) / inside >= top - 1e-12
                       and set(s) == set(_likeliest(p, kept, len(s))))  # fmt: skip
        expected[list(reached)] = p[list(reached)] / sum(p[i] for i in reached)
        worst = largest(worst, gap(allowed(p.log()[None], options)[0], expected))
    return worst


def _likeliest(p: Tensor, among: Iterable[int], count: int) -> tuple[int, ...]:
    """Of all subsets of that size the likeliest, and of equals the first."""
    sets = combinations(sorted(among), count)
    return max(sets, key=lambda s: (round(sum(p[i].item() for i in s), 12), [-i for i in s]))


def cold() -> float:
    """Temperature 0 is the limit: the likeliest."""
    logits = torch.randn(6, 7, generator=generator(1)).double()
    near = allowed(logits, AutoregressiveOptions(temperature=1e-4))
    at = allowed(logits, AutoregressiveOptions(temperature=0.0))
    return largest(
        gap(near, at), gap(at.argmax(1), logits.argmax(1)), gap(at.sum(1), torch.ones(6))
    )


def documents() -> float:
    """Packed documents are single documents."""
    worst = 0.0
    lengths = (4, 0, 1, 3, 2)
    ids = torch.randint(3, (1, sum(lengths)), generator=generator(2))
    for name in ("softmax", "mamba2", "gated-delta", "lstm"):
        model, total = tiny(name), torch.zeros(()).double()
        for part in ids.split(lengths, dim=1):
            if part.shape[1] > 1:
                first = model.embedding.vector(None, 1)[:, None]
                y, _ = model.stack(torch.cat([first, model.tokens(part[:, :-1])], dim=1))
                chances = model.logits(y).log_softmax(2)[0].gather(1, part[0][:, None])
                total = total - chances[1:].sum()
        targets = sum(max(0, length - 1) for length in lengths)
        found = model.loss(PackedBatch.of(ids, lengths), "model", PROGRESS).total
        worst = largest(worst, gap(found.detach(), total.detach() / targets))
    return worst


def masked_loss() -> float:
    """The chosen tokens alone are counted."""
    description = DataDescription(shape=(20,), levels=3, low=0.0, high=2.0)
    model = build_masked(description, dim=8, heads=2).double()
    ids = torch.randint(3, (4, 20), generator=generator(4))
    with seeded(9):
        found = model.loss(Batch(ids, None, torch.arange(4)), "model", PROGRESS).total
        torch.manual_seed(seed(9))
        read, place = model.spoiled(ids, BatchNoise(4))
    values = [
        -model.logits_of(read[row : row + 1]).log_softmax(2)[0, where, ids[row, where]]
        for row in range(4)
        for where in place[row].tolist()
    ]
    changed = (read != ids).sum(1) > place.shape[1]
    return gap([found, changed.sum()], [torch.stack(values).mean(), 0])


def shares() -> float:
    """15 % are chosen, of these 80 % hidden, 10 % other."""
    description = DataDescription(shape=(20,), levels=50, low=0.0, high=49.0)
    model, n = build_masked(description, dim=8, heads=2), 4000
    ids = torch.zeros(n, 20, dtype=torch.long)
    read, place = model.spoiled(ids, ItemNoise(seed(1), range(n)))
    there = read.gather(1, place)
    hidden, other = there == model.levels, (there != model.levels) & (there != 0)
    return largest(
        gap(place.shape[1], 0.15 * 20),
        rarity(place.flatten().bincount(minlength=20), n, 0.15),
        rarity(hidden.sum(), there.numel(), 0.8),
        rarity(other.sum(), there.numel(), 0.1 * 49 / 50),  # one may be replaced by itself
    )


def told_of_steps() -> float:
    """Mixers hear which step has been done."""
    worst = 0.0
    for model in (tiny("softmax"), build_masked(TEXT, dim=8, heads=2)):
        mixers = [part for part in model.modules() if isinstance(part, Mixer)]
        heard: list[list[int]] = [[] for _ in mixers]
        for mixer, steps in zip(mixers, heard, strict=True):
            mixer.after_step = lambda step, steps=steps: steps.append(step)
        for step in (0, 6):
            model.after_step("model", replace(PROGRESS, step=step))
        worst = largest(worst, gap(heard, [[1, 7]] * len(mixers)))
    return worst


def penalised() -> float:
    """The penalties of two layers join the loss, each at a ten-thousandth."""
    with seeded(3):
        model = build(TEXT, mixer="transformer-vq", dim=8, depth=2, heads=2).double().train()
    ids, context = torch.randint(3, (5, LENGTH), generator=generator(6)), SequenceContext()
    nats = -model.log_prob_of_ids(ids, None, context=context).mean() / LENGTH
    found = model.loss(Batch(ids, None, torch.arange(5)), "model", PROGRESS).total
    first, second = (value for name, value in context.penalties if name == "commitment")
    return gap(found.detach(), (nats + 1e-4 * first + 1e-4 * second).detach())


def filled() -> float:
    """Blanks one by one, each time the surest of all guesses, by loops over reading anew."""
    model, wrong = build_masked(TEXT, dim=8, heads=2).double().eval(), 0
    with seeded(4), torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    for text in ("_b__", "____", "a_c_", "abca"):
        now = text
        while "_" in now:
            ids = torch.tensor([[*LETTERS, "_"].index(letter) for letter in now])
            chances = model.logits_of(ids[None])[0].softmax(1).tolist()
            blanks = [place for place, letter in enumerate(now) if letter == "_"]
            place = max(blanks, key=lambda i: max(chances[i]))
            best = LETTERS[chances[place].index(max(chances[place]))]
            now = now[:place] + best + now[place + 1 :]
        wrong += model.fill(text) != now
    return float(wrong)


_LAWS: Rows = {
    "definition": [
        ("language/penalties", 1e-12, penalised),
        ("masked/fill", 0.0, filled),
    ],
    "contract": [
        ("language/steps", 0.0, told_of_steps),
    ],
    "enumeration": [
        ("language/choices", 1e-12, choices),
    ],
    "closed form": [
        ("language/cold", 1e-12, cold),
    ],
    "self-consistency": [
        ("language/documents", 1e-11, documents),
        ("masked/loss", 1e-12, masked_loss),
    ],
    "statistics": [
        ("masked/shares", sigmas(22), shares),
    ],
}

_CASES: Rows = {
    "enumeration": [
        ("language/total", 1e-11, totals),
    ],
    "self-consistency": [
        ("language/generation", 0.0, generation),
    ],
}

LAWS: list[Law] = [
    *table(_LAWS),
    *table(_CASES, law_of_cases),
]

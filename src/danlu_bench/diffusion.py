"""Diffusion on images beside independent packages: speed of training, sampling and solvers.

Three U-Nets of one size take turns in one process: danlu's as the library runs it here, the others
in float32 as they come and in the quickest setting that a trial on this machine finds for them.
All train with one loop of clipping and AdamW, each on its library's own loss. A ratio is the median
of the ratios within each round. A solver's overhead is the share of sampling outside the network.
The share of the machine is the network's work, as torch counts it, over what a 3x3 convolution of
256 channels reaches forwards and backwards in the same setting.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import AdamW

from danlu.training import Policy
from danlu_bench.packing import operations
from danlu_bench.page import table, write_page
from danlu_bench.side_by_side import Way, clock, in_turns
from danlu_bench.unets import CHANNELS, IMAGES, SIDE, Contender, Setting, Sizes, builders, model_of

BATCH, DRAWN = 16, 4
OVERHEAD_EVALUATIONS, OVERHEAD_ROUNDS, PROBE_CHANNELS, PROBE_SIDE = 20, 3, 256, 16
LEAST_RATIO = {"training": 1.7, "sampling": 1.5}
MOST_OVERHEAD, MOST_APART = 0.02, 0.05
SOLVERS_TIMED = ("ddim", "heun", "dpm-multistep", "unipc", "ancestral")
OURS, PLAIN = "danlu", Setting()
EAGER = tuple(
    Setting(bfloat16=low, channels_last=last) for low in (False, True) for last in (False, True)
)

Report = Callable[[str], None]
Images = Float[Tensor, "batch channels height width"]
Make = Callable[[], Contender]
Work = Callable[[Contender, Setting], Way]
Rows = dict[tuple[str, str], dict[str, float]]
"""(library, setting) -> images a second, and how many times as fast danlu is."""


def run(
    report: Report,
    *,
    sizes: Sizes | None = None,
    batch: int = BATCH,
    drawn: int = DRAWN,
    compiled: bool = False,
    folder: Path | None = None,
) -> dict[str, Any]:
    """Train and sample in turns with three U-Nets: danlu's and two independent packages'.

    `compiled` tries `torch.compile` among the settings, which takes many minutes.
    """
    sizes = sizes or Sizes()
    makers = builders(sizes)
    parameters = {name: make().parameters for name, make in makers.items()}
    x = torch.rand(batch, CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    train, evaluate = partial(training, x), partial(evaluation, x)
    settings = _settings(makers, {"training": train, "sampling": evaluate}, compiled=compiled)
    rows = {
        "training": _compare(makers, settings["training"], train, batch),
        "sampling": _compare(makers, settings["sampling"], partial(sampling, drawn), drawn),
    }
    model = model_of(sizes.danlu)
    overheads = {name: overhead(model, name, batch) for name in SOLVERS_TIMED}
    share = share_of_machine(makers[OURS](), _ours(), x)
    ratios = {
        kind: min(row["ratio"] for (name, _), row in found.items() if name != OURS)
        for kind, found in rows.items()
    }
    lines = _lines(parameters, rows, ratios, overheads, share)
    command = "danlu bench diffusion-compiled" if compiled else "danlu bench diffusion"
    lines[0] = f"`{command}`: {lines[0]}"
    for line in lines:
        report(line)
    page = write_page("diffusion-speed", ["# U-Nets side by side", "", *lines], {}, folder)
    report(f"page: {page}")
    apart = max(abs(count / parameters[OURS] - 1) for count in parameters.values())
    fast = all(ratios[kind] >= least for kind, least in LEAST_RATIO.items())
    return {
        "parameters": parameters,
        "rows": {
            kind: {", ".join(key): row for key, row in found.items()}
            for kind, found in rows.items()
        },
        "ratios": ratios,
        "overheads": overheads,
        "share": share,
        "holds": fast and max(overheads.values()) <= MOST_OVERHEAD and apart <= MOST_APART,
    }


def run_compiled(report: Report) -> dict[str, Any]:
    """The same as `diffusion` with `torch.compile` among the settings; it takes many minutes."""
    return run(report, compiled=True)


# --- what is timed ------------------------------------------------------------------------------


def training(x: Images, contender: Contender, setting: Setting) -> Way:
    """A training step, the same for all but for network and loss."""
    setting.place(contender.network)
    weights = [p for p in contender.network.parameters() if p.requires_grad]
    optimizer = AdamW(weights, lr=1e-4, fused=True)
    images = setting.order(x)

    def step() -> None:
        with setting.precision():
            loss = contender.loss(images)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()

    return step


def evaluation(x: Images, contender: Contender, setting: Setting) -> Way:
    """One evaluation of the network without gradients."""
    setting.place(contender.network)
    images = setting.order(x)

    def evaluate() -> None:
        with torch.no_grad(), setting.precision():
            contender.forward(images)

    return evaluate


def sampling(n: int, contender: Contender, setting: Setting) -> Way:
    """A whole sampling of n images by the library's own DDIM."""
    setting.place(contender.network)

    def sample() -> None:
        with setting.precision():
            contender.sample(n)

    return sample


def _ours() -> Setting:
    """What the library chooses for images on this machine."""
    policy = Policy.choose("cpu", IMAGES)
    return Setting(bfloat16=policy.autocast == "bfloat16", channels_last=policy.channels_last)


def _settings(
    makers: Mapping[str, Make], works: Mapping[str, Work], *, compiled: bool
) -> dict[str, dict[str, list[Setting]]]:
    """Kind of work -> library -> the settings to compare: as it comes, and the quickest."""
    found: dict[str, dict[str, list[Setting]]] = {}
    for kind, work in works.items():
        found[kind] = {}
        for name, make in makers.items():
            plain, tried = (_ours(), [_ours()]) if name == OURS else (PLAIN, list(EAGER))
            best = _quickest(make, tried, work)
            if compiled:
                best = _quickest(make, [best, best.in_graphs()], work)
            found[kind][name] = list(dict.fromkeys([plain, best]))
    return found


def _quickest(make: Make, settings: Sequence[Setting], work: Work) -> Setting:
    if len(settings) == 1:
        return settings[0]
    times = in_turns({setting.name: work(make(), setting) for setting in settings})
    return min(settings, key=lambda setting: times.median(setting.name))


def _compare(
    makers: Mapping[str, Make], settings: Mapping[str, list[Setting]], work: Work, images: int
) -> Rows:
    """All libraries in their settings in turns; danlu's last setting is what others face."""
    keys = [(name, setting) for name, each in settings.items() for setting in each]
    labels = {(name, setting.name): (name, setting) for name, setting in keys}
    times = in_turns(
        {
            ", ".join(label): work(makers[name](), setting)
            for label, (name, setting) in labels.items()
        }
    )
    ours = ", ".join((OURS, settings[OURS][-1].name))
    return {
        label: {
            "rate": images / times.median(", ".join(label)),
            "ratio": times.ratio(", ".join(label), ours),
        }
        for label in labels
    }


def overhead(model: Any, solver: str, images: int) -> float:
    """The share of sampling that is spent outside the network."""
    inside: list[float] = []
    hooks = [
        model.network.register_forward_pre_hook(lambda *_: inside.append(-clock())),
        model.network.register_forward_hook(lambda *_: inside.append(clock())),
    ]
    options = model.Options(solver=solver, grid="linspace", evaluations=OVERHEAD_EVALUATIONS)
    shares = []
    with _ours().precision():
        model.sample(images, options=options)
        for _ in range(OVERHEAD_ROUNDS):
            inside.clear()
            began = clock()
            model.sample(images, options=options)
            shares.append(1 - sum(inside) / (clock() - began))
    for hook in hooks:
        hook.remove()
    return statistics.median(shares)


def share_of_machine(contender: Contender, setting: Setting, x: Images) -> float:
    """Work of a training step over what convolutions alone reach in its time."""
    step = training(x, contender, setting)
    step()
    counted = operations(step)
    shape = (len(x), PROBE_CHANNELS, PROBE_SIDE, PROBE_SIDE)
    layer = nn.Conv2d(PROBE_CHANNELS, PROBE_CHANNELS, 3, padding=1)
    setting.place(layer)
    h = setting.order(torch.randn(shape)).requires_grad_()

    def convolve() -> None:
        with setting.precision():
            y = layer(h)
        y.backward(torch.ones_like(y))

    # One pass forwards and two backwards, each of nine products a weight and place.
    work = 3 * 2 * 9 * PROBE_CHANNELS**2 * PROBE_SIDE**2 * len(x)
    times = in_turns({"step": step, "convolution": convolve})
    return counted / work * times.ratio("convolution", "step")


# --- what is said -------------------------------------------------------------------------------


def _lines(
    parameters: Mapping[str, int],
    rows: Mapping[str, Rows],
    ratios: Mapping[str, float],
    overheads: Mapping[str, float],
    share: float,
) -> list[str]:
    sized = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in parameters.items())
    lines = [
        "images of one channel and 32x32 pixels, attention at 8x8,",
        f"{torch.get_num_threads()} thread(s). Parameters: {sized}.",
    ]
    for kind, found in rows.items():
        what = "a training step" if kind == "training" else "50 evaluations of DDIM"
        cells = [
            [name, setting, f"{row['rate']:.2f}", f"{row['ratio']:.2f}"]
            for (name, setting), row in found.items()
        ]
        lines += ["", f"## {kind.capitalize()}: {what}"]
        lines += table(["library", "setting", "images/s", "danlu is faster by"], cells)
        lines += [
            f"{kind}: {ratios[kind]:.2f} times the best of the others "
            f"(at least {LEAST_RATIO[kind]})"
        ]
    spent = ", ".join(f"{name} {value:.2%}" for name, value in overheads.items())
    lines += ["", f"Outside the network: {spent} (at most {MOST_OVERHEAD:.0%})."]
    lines += [f"Share of the machine's rate of convolutions in training: {share:.0%}."]
    return lines

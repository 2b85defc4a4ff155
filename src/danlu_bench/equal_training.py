"""One training for the U-Nets of several libraries: the same batches, optimiser and average.

What is finished is kept in a folder, so that a study that was cut off goes on where it was.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad
from typing_extensions import override

from danlu.contracts import Batch, DanluError, DataDescription, Losses, Progress, derive_seed
from danlu.data import Examples, ExampleStream, Source
from danlu.files import write_text
from danlu.generative.base import GenerativeModel
from danlu.optim import OptimizerOptions
from danlu.training import Budget, Outcome, Plan, Policy, Trainer, TrainingRun
from danlu_bench import unets
from danlu_bench.kept import kept_samples
from danlu_bench.unets import CHANNELS, IMAGES, SIDE, Contender, Setting, Sizes

NAME = "diffusion-distance"
RATE, WARMUP = 1e-3, 0.05
"""The highest rate, chosen on the validation split, and the share of the steps that climb to it."""
SETTINGS: Mapping[str, Setting] = {
    "danlu": Setting(bfloat16=True),
    "diffusers": Setting(bfloat16=True),
    "denoising-diffusion-pytorch": Setting(bfloat16=True, channels_last=True),
}
"""Library -> the quickest way to sample on processors that multiply bfloat16."""

Images = Float[Tensor, "batch channels height width"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """What is trained and how much is drawn.

    Attributes:
        data: a name of SOURCES.
        sizes: of the networks.
        images: seen in training.
        batch: of how many at a time.
        rate: the highest learning rate.
        samples: of each network.
        shown: of them in the picture.
        seed: of everything random.
        home: folder of the runs.
    """

    data: str = "fashion-mnist"
    sizes: Sizes = field(default_factory=Sizes)
    images: int = 16_000
    batch: int = 16
    rate: float = RATE
    samples: int = 300
    shown: int = 10
    seed: int = 0
    home: Path = Path("runs/diffusion-distance")


def require_same(study: Study) -> None:
    """Raise `DanluError` when the folder was begun by another study."""
    told = json.dumps(asdict(study), default=str, indent=1) + "\n"
    path = study.home / "study.json"
    if path.exists() and path.read_text(encoding="utf-8") != told:
        raise DanluError(f"{study.home} holds networks of other settings; move it away.")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, told)


class Learning(GenerativeModel):
    """A contender as the trainer takes it."""

    can = frozenset()

    def __init__(self, contender: Contender, description: DataDescription) -> None:
        super().__init__(description)
        self.network = contender.network
        self._loss = contender.loss

    @override
    def players(self) -> dict[str, list[nn.Module]]:
        return {"model": [self.network]}

    @override
    def loss(self, batch: Batch, player: str, progress: Progress) -> Losses:
        return Losses.of(own=self._loss(batch.x))


def trained(study: Study, name: str, source: Source) -> tuple[Contender, Outcome]:
    """A contender with the average of its weights; its training is kept and gone on with.

    Raises:
        KeyboardInterrupt: training was interrupted.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(study.seed, "weights"))
        contender = unets.builders(study.sizes)[name]()
    examples = framed(source.training)
    rates = OptimizerOptions(rate=study.rate, warmup=WARMUP, schedule="cosine")
    setting = SETTINGS[name]
    policy = Policy(
        autocast="bfloat16" if setting.bfloat16 else "none",
        channels_last=setting.channels_last,
        threads=torch.get_num_threads(),
    )
    trainer = Trainer(
        Learning(contender, examples.description),
        ExampleStream(examples, examples.description, batch=study.batch, seed=study.seed),
        Plan(batch=study.batch, optimizers={"default": rates}),
        Budget(steps=study.images // study.batch),
        run=TrainingRun(folder=study.home / name, seed=study.seed, policy=policy),
    )
    outcome = trainer.run()
    if outcome.interrupted:
        raise KeyboardInterrupt(f"interrupted; to go on: `danlu bench {NAME}`.")
    trainer.keep_averages()
    contender.network.eval()
    return contender, outcome


def framed(examples: Examples) -> Examples:
    """Images in the middle of the networks' squares, the lowest level around them, no classes.

    Raises:
        DanluError: these are no images that fit.
    """
    known = examples.description
    if not known.is_image or known.shape[0] != CHANNELS or max(known.shape[1:]) > SIDE:
        raise DanluError(f"The networks see one channel of {SIDE}x{SIDE} pixels at most.")
    _, height, width = known.shape
    top, left = _corner(known)
    around = (left, SIDE - width - left, top, SIDE - height - top)
    lowest = 0 if examples.values.dtype == torch.uint8 else known.low
    description = replace(known, shape=IMAGES.shape, condition=None)
    return Examples(pad(examples.values, around, value=lowest), None, description)


def unframed(
    x: Images, description: DataDescription
) -> Float[Tensor, "batch channels inner_height inner_width"]:
    """The middle of the networks' squares, as large as the data."""
    (top, left), (_, height, width) = _corner(description), description.shape
    return x[:, :, top : top + height, left : left + width]


def _corner(description: DataDescription) -> tuple[int, int]:
    _, height, width = description.shape
    return (SIDE - height) // 2, (SIDE - width) // 2


def samples(
    study: Study, name: str, contender: Contender, description: DataDescription
) -> tuple[Images, float]:
    """Samples of the size of the data, and the CPU seconds that they took; they are kept."""

    def draw(rows: range) -> Images:
        with torch.random.fork_rng(devices=[]), SETTINGS[name].precision():
            torch.manual_seed(derive_seed(study.seed, "samples", rows.start))
            x = contender.sample(len(rows))
        return unframed(x.float().clamp(description.low, description.high), description)

    path = study.home / name / "samples.safetensors"
    return kept_samples(path, description, study.samples, draw)

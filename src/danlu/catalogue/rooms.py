"""The rooms of the library: every table of methods, and which laws check its members."""

from collections.abc import Mapping
from dataclasses import dataclass

from danlu.conditioning import CONDITIONERS
from danlu.contracts import Method
from danlu.data import SOURCES
from danlu.data.packing import PACKERS
from danlu.embeddings import WORD_VECTORS
from danlu.evaluation import METRICS
from danlu.evaluation.features import SPACES
from danlu.evaluation.multilabel import MULTILABEL_METRICS
from danlu.generative import FAMILIES
from danlu.generative.diffusion import (
    COUPLINGS,
    GRIDS,
    GUIDANCES,
    JUMPS,
    PATHS,
    PRECONDITIONERS,
    PREDICTIONS,
    SOLVERS,
    TIME_SAMPLERS,
    WEIGHTINGS,
)
from danlu.generative.parts import LAYERS, MASKS, NETWORKS
from danlu.generative.parts.transforms import TRANSFORMS
from danlu.losses import DIVERGENCES, LIKELIHOODS, MULTILABEL
from danlu.mixers import MIXERS
from danlu.optim import OPTIMIZERS, SCHEDULES
from danlu.positions import POSITIONS
from danlu.solvers import STEPPERS


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """One table and what checks it.

    Attributes:
        title: heading of its page.
        home: where a user imports the table from.
        about: one line for the index.
        table: public name -> method.
        laws: first parts of the names of the laws that check its members.
    """

    title: str
    home: str
    about: str
    table: Mapping[str, Method]
    laws: tuple[str, ...]

    @property
    def page(self) -> str:
        """File name of its page."""
        return self.home.rpartition(".")[2].lower().replace("_", "-") + ".md"


ROOMS = (
    Room(
        title="Families",
        home="danlu.generative.FAMILIES",
        about="Generative models that the command line trains, races, samples and scores.",
        table=FAMILIES,
        laws=(
            "family",
            "chain",
            "codebook",
            "continuous-flow",
            "ddim",
            "evidence",
            "few-step",
            "flow",
            "autoregressive",
            "gan",
            "generative",
            "staged",
            "improved-ddpm",
            "kernel-density",
            "language",
            "masked",
            "meanflow",
            "priors",
            "recompute",
            "reflow",
            "training",
            "vae",
            "vq",
        ),
    ),
    Room(
        title="Sources",
        home="danlu.data.SOURCES",
        about="Named data sets with fixed splits, and densities in the plane.",
        table=SOURCES,
        laws=("data",),
    ),
    Room(
        title="Packers",
        home="danlu.data.packing.PACKERS",
        about="How documents of any length fill packs of one size.",
        table=PACKERS,
        laws=("packing",),
    ),
    Room(
        title="Likelihoods",
        home="danlu.losses.LIKELIHOODS",
        about="What a decoder's output means.",
        table=LIKELIHOODS,
        laws=("likelihoods",),
    ),
    Room(
        title="Divergences",
        home="danlu.losses.DIVERGENCES",
        about="What critic and generator minimise, with the constraint that belongs to it.",
        table=DIVERGENCES,
        laws=("gan", "divergence"),
    ),
    Room(
        title="Multi-label losses",
        home="danlu.losses.MULTILABEL",
        about="What a network with any number of right classes minimises.",
        table=MULTILABEL,
        laws=("multilabel",),
    ),
    Room(
        title="Layers of flows",
        home="danlu.generative.parts.LAYERS",
        about="Bijections and splits of which likelihood models are made.",
        table=LAYERS,
        laws=("flow-layers", "flow", "continuous-flow"),
    ),
    Room(
        title="Transforms",
        home="danlu.generative.parts.transforms.TRANSFORMS",
        about="How a coupling moves a number.",
        table=TRANSFORMS,
        laws=("transforms", "flow"),
    ),
    Room(
        title="Masks",
        home="danlu.generative.parts.MASKS",
        about="Which numbers of an example stay in a coupling.",
        table=MASKS,
        laws=("transforms", "flow"),
    ),
    Room(
        title="Coupling networks",
        home="danlu.generative.parts.NETWORKS",
        about="How the numbers that stay tell the others how to move.",
        table=NETWORKS,
        laws=("flow",),
    ),
    Room(
        title="Paths",
        home="danlu.generative.diffusion.PATHS",
        about="How data turns into noise.",
        table=PATHS,
        laws=("diffusion",),
    ),
    Room(
        title="Predictions",
        home="danlu.generative.diffusion.PREDICTIONS",
        about="What a diffusion network says of data and noise.",
        table=PREDICTIONS,
        laws=("diffusion",),
    ),
    Room(
        title="Preconditioners",
        home="danlu.generative.diffusion.PRECONDITIONERS",
        about="What a diffusion network is given.",
        table=PRECONDITIONERS,
        laws=("diffusion",),
    ),
    Room(
        title="Weightings",
        home="danlu.generative.diffusion.WEIGHTINGS",
        about="How much an error counts at each noise level.",
        table=WEIGHTINGS,
        laws=("diffusion",),
    ),
    Room(
        title="Solvers",
        home="danlu.generative.diffusion.SOLVERS",
        about="How noise turns into samples, given a denoiser and a grid.",
        table=SOLVERS,
        laws=("diffusion",),
    ),
    Room(
        title="Grids",
        home="danlu.generative.diffusion.GRIDS",
        about="The noise levels that a solver visits.",
        table=GRIDS,
        laws=("diffusion",),
    ),
    Room(
        title="Jumps",
        home="danlu.generative.diffusion.JUMPS",
        about="How noise turns into samples, given a flow map and times.",
        table=JUMPS,
        laws=("few-step", "flow-maps"),
    ),
    Room(
        title="Guidance",
        home="danlu.generative.diffusion.GUIDANCES",
        about="How a denoiser is steered, by a condition, another model or a classifier.",
        table=GUIDANCES,
        laws=("guidance",),
    ),
    Room(
        title="Time samplers",
        home="danlu.generative.diffusion.TIME_SAMPLERS",
        about="The times at which a diffusion model is trained.",
        table=TIME_SAMPLERS,
        laws=("diffusion",),
    ),
    Room(
        title="Couplings",
        home="danlu.generative.diffusion.COUPLINGS",
        about="Which noise each example is mixed with in training.",
        table=COUPLINGS,
        laws=("diffusion", "coupling"),
    ),
    Room(
        title="Steppers",
        home="danlu.solvers.STEPPERS",
        about="One step of an ordinary differential equation.",
        table=STEPPERS,
        laws=("solvers",),
    ),
    Room(
        title="Conditioners",
        home="danlu.conditioning.CONDITIONERS",
        about="How a class, a vector, a text or an image tells a model what to draw.",
        table=CONDITIONERS,
        laws=("conditioning",),
    ),
    Room(
        title="Mixers",
        home="danlu.mixers.MIXERS",
        about="How the tokens of a sequence see one another.",
        table=MIXERS,
        laws=("layers", "linear-attention", "mixers", "recurrences", "transformer"),
    ),
    Room(
        title="Positions",
        home="danlu.positions.POSITIONS",
        about="How a sequence layer knows where a token stands.",
        table=POSITIONS,
        laws=("positions",),
    ),
    Room(
        title="Optimizers",
        home="danlu.optim.OPTIMIZERS",
        about="How a player's weights move.",
        table=OPTIMIZERS,
        laws=("optim",),
    ),
    Room(
        title="Schedules",
        home="danlu.optim.SCHEDULES",
        about="How a rate changes with the spent fraction of the budget.",
        table=SCHEDULES,
        laws=("optim",),
    ),
    Room(
        title="Metrics",
        home="danlu.evaluation.METRICS",
        about="What a set of samples is worth.",
        table=METRICS,
        laws=("evaluation",),
    ),
    Room(
        title="Multi-label metrics",
        home="danlu.evaluation.multilabel.MULTILABEL_METRICS",
        about="What scores and predicted sets of classes are worth.",
        table=MULTILABEL_METRICS,
        laws=("multilabel-metrics",),
    ),
    Room(
        title="Feature spaces",
        home="danlu.evaluation.features.SPACES",
        about="Where samples and held-out data are compared.",
        table=SPACES,
        laws=("evaluation",),
    ),
    Room(
        title="Word vectors",
        home="danlu.embeddings.WORD_VECTORS",
        about="How words become vectors: by counting, and by prediction.",
        table=WORD_VECTORS,
        laws=("words",),
    ),
)

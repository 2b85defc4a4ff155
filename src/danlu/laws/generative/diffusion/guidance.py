"""Laws of guidance, on exact denoisers."""

import math

import torch
from torch import Tensor

from danlu.generative.diffusion import GUIDANCES, PATHS, PREDICTIONS
from danlu.generative.diffusion.analytic import GaussianDenoiser, MixtureDenoiser, two_dimensional
from danlu.generative.diffusion.denoiser import probability_flow
from danlu.generative.diffusion.guidance.chosen import guided_levels
from danlu.generative.diffusion.guidance.classifier import Classifier, Similarity
from danlu.generative.diffusion.guidance.classifier_free import ClassifierFree
from danlu.generative.diffusion.guidance.interval import Interval
from danlu.generative.diffusion.guidance.projected import Projected
from danlu.generative.diffusion.guidance.rescaled import Rescaled
from danlu.generative.diffusion.options import DiffusionOptions
from danlu.generative.diffusion.predictions import combine, solve_data
from danlu.laws.gaps import gap, largest
from danlu.laws.generative.diffusion.test_bed import points
from danlu.laws.law import Rows, table

LEVELS = (0.1, 0.5, 2.0, 10.0)
SCALE = 2.5
DIM = 5


def wide_mixture(components: int = 3) -> MixtureDenoiser:
    """A mixture in five dimensions, where turning and stretching are different things."""
    means = points(8).flatten()[: components * DIM].view(components, DIM)
    stds = torch.linspace(0.3, 0.6, components, dtype=torch.float64)
    return MixtureDenoiser(means, stds, torch.ones(components, dtype=torch.float64))


def states() -> Tensor:
    """Noisy points in five dimensions."""
    return points(80).view(32, DIM)


def posterior_of(mixture: MixtureDenoiser, component: int, y: Tensor, level: float) -> Tensor:
    """Log-probability of a component given noisy data."""
    joint = mixture.log_weights[component] + mixture.only(component).log_density(y, level)
    return joint - mixture.log_density(y, level)


def scale_one_is_bayes() -> float:
    """The exact classifier with scale 1 makes the unconditional denoiser the conditional."""
    mixture, y, worst = two_dimensional(), points(), 0.0
    for component in range(3):
        guidance = Classifier(lambda y, level, c=component: posterior_of(mixture, c, y, level))
        guided, known = guidance(mixture), mixture.only(component)
        worst = largest(worst, *(gap(guided(y, level), known(y, level)) for level in LEVELS))
    return worst


def two_ways_to_guide() -> float:
    """Classifier-free = classifier guidance with the exact classifier, at every scale."""
    mixture, y, worst = two_dimensional(), points(), 0.0
    for scale in (0.0, 0.5, 1.0, SCALE):
        by_classifier = Classifier(lambda y, level: posterior_of(mixture, 1, y, level), scale)
        free = ClassifierFree(mixture, scale)(mixture.only(1))
        for level in LEVELS:
            worst = largest(worst, gap(by_classifier(mixture)(y, level), free(y, level)))
    return worst


def similarity_tilts() -> float:
    r"""Agreement $\langle D(y), e\rangle$ on Gaussian data is the law tilted by $e^{s x\cdot e}$.

    The tilted law of $N(\mu, \Sigma)$ is $N(\mu + s\Sigma e, \Sigma)$.
    """
    covariance = torch.tensor([[1.0, 0.6], [0.6, 0.5]], dtype=torch.float64)
    mean = torch.tensor([0.5, -1.0], dtype=torch.float64)
    wanted = torch.tensor([0.3, 0.8], dtype=torch.float64)
    plain = GaussianDenoiser(mean, covariance)
    tilted = GaussianDenoiser(mean + SCALE * covariance @ wanted, covariance)
    guided, y = Similarity(plain, wanted, SCALE)(plain), points()
    return largest(gap(guided(y, level), tilted(y, level)) for level in LEVELS)


def linear_in_velocity() -> float:
    """Guiding the velocity = guiding the denoiser, on every path."""
    mixture, y, worst = two_dimensional(), points(), 0.0
    whole = ClassifierFree(mixture, SCALE)(mixture.only(0))
    for method in PATHS.values():
        path = method.build()
        x = path.at(0.4).alpha * y
        base, own, guided = (
            probability_flow(each, path)(x, 0.4) for each in (mixture, mixture.only(0), whole)
        )
        worst = largest(worst, gap(base + SCALE * (own - base), guided))
    return worst


def same_for_every_prediction() -> float:
    """Guiding any predicted value = guiding the denoiser, on every path."""
    mixture, y, worst = two_dimensional(), points(), 0.0
    whole = ClassifierFree(mixture, SCALE)(mixture.only(0))
    for path in (method.build() for method in PATHS.values()):
        point = path.at(0.4)
        for prediction in (method.target for method in PREDICTIONS.values()):

            def value(denoise: MixtureDenoiser, point=point, prediction=prediction) -> Tensor:  # noqa: ANN001
                data = denoise(y, point.level)
                return combine(prediction, point, data, (y - data) / point.level)

            base, own = value(mixture), value(mixture.only(0))
            guided = base + SCALE * (own - base)
            data = solve_data(prediction, point, point.alpha * y, guided)
            worst = largest(worst, gap(data, whole(y, point.level)) / (1 + point.level))
    return worst


def neutral_settings() -> float:
    """Every method with neutral settings is the denoiser, or the guidance, that it wraps."""
    mixture, y = wide_mixture(), states()
    own, twice = mixture.only(0), ClassifierFree(mixture, SCALE)
    scaled = ("classifier-free", "autoguidance", "projected")
    pairs = [(GUIDANCES[name].target(mixture, 1.0)(own), own) for name in scaled]
    pairs += [
        (Projected(mixture, SCALE, parallel=1.0)(own), twice(own)),
        (Rescaled(twice, 0.0)(own), twice(own)),
        (Rescaled(ClassifierFree(mixture, 1.0), 1.0)(own), own),
        (Interval(twice)(own), twice(own)),
        (Interval(twice, 20.0, 30.0)(own), own),
        (Classifier(mixture.log_density, 0.0)(own), own),
    ]
    return largest(
        gap(found(y, level), known(y, level)) for found, known in pairs for level in LEVELS
    )


def interval_is_either() -> float:
    """Guided at levels inside, plain outside."""
    mixture, y, worst = wide_mixture(), states(), 0.0
    own, twice = mixture.only(0), ClassifierFree(mixture, SCALE)
    guided = Interval(twice, LEVELS[1], LEVELS[2])(own)
    for level in LEVELS:
        known = twice(own) if level in LEVELS[1:3] else own
        worst = largest(worst, gap(guided(y, level), known(y, level)))
    return worst


def levels_of_times() -> float:
    """Guidance acts at the noise levels of its times, without bound at the ends."""
    times, found = ((0.0, 1.0), (0.2, 1.0), (0.0, 0.5), (0.2, 0.5)), []
    for name in ("linear", "trigonometric"):
        path = PATHS[name].build()
        options = [DiffusionOptions(guided_from=t, guided_until=end) for t, end in times]
        found.append([guided_levels(path, each) for each in options])
    known = [(0.0, math.inf), (0.25, math.inf), (0.0, 1.0), (0.25, 1.0)]
    low = math.tan(math.pi / 10)
    return gap(found, [known, [(0.0, math.inf), (low, math.inf), (0.0, 1.0), (low, 1.0)]])


def rescaled_has_the_deviation() -> float:
    """Rescaled examples have the deviation of unguided and the direction of guided ones.

    The share's result is on the line from the guided to the wholly rescaled example.
    """
    mixture, y, worst = wide_mixture(), states(), 0.0
    own, twice = mixture.only(0), ClassifierFree(mixture, SCALE)
    for level in LEVELS:
        whole = Rescaled(twice, 1.0)(own)(y, level)
        worst = largest(worst, gap(whole.std(1), own(y, level).std(1)))
        wide, partly = twice(own)(y, level), Rescaled(twice, 0.7)(own)(y, level)
        worst = largest(worst, gap(partly, 0.7 * whole + 0.3 * wide))
        # Rescaling changes no direction.
        cosine = torch.cosine_similarity(whole, wide, dim=1)
        worst = largest(worst, gap(cosine, torch.ones_like(cosine)))
    return worst


def projected_turns() -> float:
    """Projected guidance adds the part at a right angle to the example, and nothing else."""
    mixture, y, worst = wide_mixture(), states(), 0.0
    own = mixture.only(0)
    for level in LEVELS:
        data, base = own(y, level), mixture(y, level)
        added = Projected(mixture, SCALE)(own)(y, level) - data
        worst = largest(worst, gap((added * data).sum(1), 0.0))
        axis = data / data.norm(dim=1, keepdim=True)
        across = torch.eye(DIM, dtype=torch.float64) - axis[:, :, None] * axis[:, None]
        known = torch.einsum("bij,bj->bi", across, data - base)
        worst = largest(worst, gap(added, (SCALE - 1) * known))
        # Pythagoras: parts along and across make up the whole difference of guidance.
        along = Projected(mixture, SCALE, parallel=1.0)(own)(y, level) - data - added
        square = added.square().sum(1) + along.square().sum(1)
        worst = largest(worst, gap(square, (SCALE - 1) ** 2 * (data - base).square().sum(1)))
    return worst


def projected_is_short() -> float:
    """No difference of guidance is longer than the longest allowed."""
    mixture, y, worst = wide_mixture(), states(), 0.0
    own, longest = mixture.only(0), 0.5
    for level in LEVELS:
        data, base = own(y, level), mixture(y, level)
        guidance = Projected(mixture, 2.0, parallel=1.0, longest=longest)
        norm = (guidance(own)(y, level) - data).norm(dim=1)
        worst = largest(worst, gap(norm, (data - base).norm(dim=1).clamp(max=longest)))
    return worst


def between_two_gaussians() -> float:
    """Between two Gaussians it follows the logistic posterior, at a scale other than 1."""
    mean, std = torch.tensor([[1.2], [-1.2]], dtype=torch.float64), 0.6
    both = torch.ones(2, dtype=torch.float64)
    mixture, y = MixtureDenoiser(mean, std * both, both), points()[:, :1]
    guided, worst = ClassifierFree(mixture, SCALE)(mixture.only(0)), 0.0
    for level in LEVELS:
        variance = std**2 + level**2
        against = torch.sigmoid(-2 * 1.2 * y / variance)
        known = mixture.only(0)(y, level)
        known = known + (SCALE - 1) * level**2 * 2 * 1.2 / variance * against
        worst = largest(worst, gap(guided(y, level), known))
    return worst


_LAWS: Rows = {
    "closed form": [
        ("guidance/scale 1 is bayes", 1e-12, scale_one_is_bayes),
        ("guidance/two ways", 1e-12, two_ways_to_guide),
        (
            "guidance/similarity",
            "similarity to an embedding tilts Gaussian data by its closed form",
            1e-12,
            similarity_tilts,
        ),
        ("guidance/closed form", 1e-12, between_two_gaussians),
        ("guidance/times", 1e-12, levels_of_times),
    ],
    "self-consistency": [
        ("guidance/velocity", 1e-12, linear_in_velocity),
        ("guidance/predictions", 1e-12, same_for_every_prediction),
        ("guidance/neutral", 1e-12, neutral_settings),
        ("guidance/interval", 0.0, interval_is_either),
    ],
    "definition": [
        ("guidance/rescaled", 1e-12, rescaled_has_the_deviation),
        ("guidance/projected", 1e-11, projected_turns),
        ("guidance/projected length", 1e-12, projected_is_short),
    ],
}

LAWS = table(_LAWS)

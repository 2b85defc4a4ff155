"""Equal parameters: the width at which a family comes nearest a number of parameters.

All parameters of all players count, a critic's too. The count grows with the width, so the width
is found by doubling and halving, in steps of 8.
"""

from dataclasses import replace

from danlu.contracts import DanluError
from danlu.runs.config import RunConfig
from danlu.runs.families import Classes

STEP, WIDEST = 8, 4096
FIELD = "width"


def width_for(config: RunConfig, parameters: int, classes: Classes = None) -> tuple[int, int]:
    """The width nearest a number of parameters, and the number that it has.

    Raises:
        DanluError: the family has no width.
    """
    if FIELD not in config.model:
        raise DanluError(
            f"{config.family} has no setting model.{FIELD}, so --parameters cannot size it; "
            "name the other --families."
        )
    known: dict[int, int] = {}

    def count(steps: int) -> int:
        width = STEP * steps
        if width not in known:
            known[width] = parameter_count(config, {FIELD: width}, classes)
        return known[width]

    low, high = 1, 2
    while count(high) < parameters and STEP * high < WIDEST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < parameters else (low, middle)
    best = min((low, high), key=lambda steps: abs(count(steps) - parameters))
    return STEP * best, count(best)


def parameter_count(config: RunConfig, model: dict[str, int], classes: Classes = None) -> int:
    """Parameters of the model of a run with some of its settings changed."""
    built = replace(config, model={**config.model, **model}).build(classes)
    return sum(parameter.numel() for parameter in built.parameters())


def steps_for(config: RunConfig, examples: int, classes: Classes = None) -> int:
    """Rounds after which a run has seen a number of examples.

    Every play of a round draws a batch of its own, so a critic's examples count too.

    Raises:
        DanluError: there are too few for one batch in each stage.
    """
    stages = config.build(classes).stages()
    batch = config.plan.batch
    plays = sum(stage.share * sum(play.times for play in stage.plays) for stage in stages)
    steps = round(examples / (batch * plays))
    if steps < len(stages):
        raise DanluError(
            f"{examples:,} examples are too few for {config.family}: a round takes "
            f"{batch * plays:.0f}, and it has {len(stages)} stage{'s'[: len(stages) > 1]}."
        )
    return steps

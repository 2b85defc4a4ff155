"""The stage that is being trained: its learners, average, clock and progress."""

from collections import deque
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any, cast

import torch
from torch import Tensor, nn

from danlu.contracts import DanluError, Progress, Stage, Stream, derive_seed
from danlu.optim import PowerAverage, named_parameters
from danlu.optim.plan import Plan
from danlu.training.budget import Clock, Spent
from danlu.training.learner import Learner
from danlu.training.trainable import Trainable
from danlu.training.weights import named_tensors

MOST_STEPS, FLAG = 2**62, "flag"
RECENT = 5
"""Rounds whose median predicts the next."""


class ActiveStage:
    """A stage in training.

    Attributes:
        stage: what the model declared.
        index: its place among the model's stages.
        stream: where its batches come from.
        clock: its share of the budget.
        spent: rounds and seconds of this stage.
        learners: its players.
        plays: their order in one round.
        average: of the weights that train here and are averaged.
        last_fraction: the fraction at which the last round was played.
    """

    def __init__(
        self,
        model: Trainable,
        stages: list[Stage],
        index: int,
        plan: Plan,
        stream: Stream,
        clock: Clock,
    ) -> None:
        self.stage = stages[index]
        self.later = stages[index + 1 :]
        self.index = index
        self.stream = stream
        self.clock = clock
        self.spent = Spent()
        self.last_fraction = 0.0
        self._plan = plan
        root, players = cast(nn.Module, model), model.players()
        self.learners = {
            name: Learner(name, named_parameters(root, players[name]), plan.optimizer(name))
            for name in dict.fromkeys(play.name for play in self.stage.plays)
        }
        self.plays = [
            self.learners[play.name] for play in self.stage.plays for _ in range(play.times)
        ]
        training = {id(w): w for learner in self.learners.values() for w in learner.weights}
        used = dict.fromkeys(p for module in model.averaged() for p in module.parameters())
        self.average = PowerAverage((p for p in used if id(p) in training), plan.average)
        self._frozen = [p for p in root.parameters() if p.requires_grad and id(p) not in training]
        self._rounds: deque[tuple[float, int]] = deque(maxlen=4 * RECENT)

    def carry_on(self, before: "ActiveStage") -> None:
        """Players of the stage before go on with what their optimisers know."""
        for name in self.learners.keys() & before.learners.keys():
            state = before.learners[name].optimizer.state_dict()
            self.learners[name].optimizer.load_state_dict(state)

    def freeze(self) -> None:
        """Only the players of this stage train."""
        for parameter in self._frozen:
            parameter.requires_grad_(False)

    def thaw(self) -> None:
        """Undo `freeze`."""
        for parameter in self._frozen:
            parameter.requires_grad_(True)

    @property
    def fraction(self) -> float:
        """Share of the stage's budget that is spent."""
        return self.clock.fraction(self.spent)

    @property
    def fresh(self) -> bool:
        """Whether no round was run here since the stage was entered."""
        return not self._rounds

    def progress(self, seed: int, play: int) -> Progress:
        """What a play is told."""
        return Progress(
            step=self.spent.steps,
            fraction=self.fraction,
            seed=derive_seed(seed, self.index, self.spent.steps, play),
        )

    @property
    def over(self) -> bool:
        """Whether the stage must end now."""
        return self.clock.over(self.spent, self._typical())

    def _typical(self) -> float:
        """Seconds of a round; one slow round changes little, and the first tells nothing.

        The first one warms up (compilation, caches), so another may begin in whatever time is left.
        """
        first = 1 if len(self._rounds) <= RECENT else 0
        recent = [seconds for seconds, _ in self._rounds][first:][-RECENT:]
        return median(recent) if recent else 0.0

    def count(self, seconds: float, examples: int) -> None:
        """A round is over."""
        self.last_fraction = self.fraction
        self.spent += Spent(1, seconds)
        self._rounds.append((seconds, examples))

    def charge(self, seconds: float) -> None:
        """Training seconds outside the rounds."""
        self.spent += Spent(0, seconds)

    @property
    def rate(self) -> float:
        """Examples per second of the last rounds."""
        seconds = sum(row[0] for row in self._rounds)
        return sum(row[1] for row in self._rounds) / seconds if seconds > 0 else 0.0

    def rows(self) -> Iterator[dict[str, Any]]:
        """What the diary says of each player."""
        for learner in self.learners.values():
            yield {
                "stage": self.stage.name,
                "fraction": self.fraction,
                "player": learner.name,
                "losses": learner.values(),
                "rate": learner.scheduled.rate,
                "grad_norm": learner.norm,
                "examples_per_second": self.rate,
            }

    @property
    def seconds_left(self) -> float:
        """Estimated training seconds to the end of the stage."""
        mean = sum(row[0] for row in self._rounds) / max(1, len(self._rounds))
        return self.clock.seconds_left(self.spent, mean)

    def copy_finished(self, players: dict[str, list[nn.Module]]) -> None:
        """Players with no later turn take their averages, and stay so."""
        playing = {play.name for stage in self.later for play in stage.plays}
        staying = {
            id(p) for name in playing for module in players[name] for p in module.parameters()
        }
        with torch.no_grad():
            for parameter, value in zip(self.average.parameters, self.average.values, strict=True):
                if id(parameter) not in staying:
                    parameter.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """Optimisers and the count of the average; its values are saved as weights."""
        return {
            "optimizers": {name: row.optimizer.state_dict() for name, row in self.learners.items()},
            "average": self.average.state_dict(),
        }

    @torch.no_grad()
    def state_shapes(self) -> dict[str, Any]:
        """Player -> what its optimiser keeps, as `outline` draws it; changes the weights.

        Some optimisers decide in their first step what they keep, so others of their kind take
        one with gradients of zero.
        """
        found = {}
        for name, row in self.learners.items():
            other = Learner(name, row.named, self._plan.optimizer(name))
            for weight in other.weights:
                weight.grad = torch.zeros_like(weight)
            other.optimizer.step()
            other.zero()
            found[name] = outline(other.optimizer.state_dict())
        return found

    def require_fit(self, state: dict[str, Any], shapes: Mapping[str, Any]) -> None:
        """Raise `DanluError` unless what `state_dict` gave is of this stage.

        Steps in one pass over all tensors trust their sizes and write wherever these say.
        """
        try:
            steps = state["average"]["steps"]
            if type(steps) is not int or not 0 <= steps < MOST_STEPS:
                raise ValueError(f"the average has {steps!r} steps")
            for name, own in shapes.items():
                if not _alike(own, outline(state["optimizers"][name])):
                    raise ValueError(f"the optimiser of {name!r} has other sizes")
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DanluError(f"The training state is of another model: {error}.") from error

    @torch.no_grad()
    def load_state_dict(
        self, state: dict[str, Any], average: dict[str, Tensor], model: nn.Module, spent: Spent
    ) -> None:
        """What `state_dict` gave, with the averaged weights and the progress."""
        self.spent = spent
        for name, row in self.learners.items():
            row.optimizer.load_state_dict(state["optimizers"][name])
        self.average.load_state_dict(state["average"])
        names = {id(tensor): name for name, tensor in named_tensors(model).items()}
        for parameter, value in zip(self.average.parameters, self.average.values, strict=True):
            value.copy_(average[names[id(parameter)]])


def outline(state: Mapping[str, Any]) -> tuple[list[Any], dict[Any, Any]]:
    """The groups of an optimiser's state without their values, and the shapes of what it keeps."""
    groups = [{key: _kind(value) for key, value in g.items()} for g in state["param_groups"]]
    rows = {
        index: {key: _kind(value) for key, value in row.items()}
        for index, row in state["state"].items()
    }
    return groups, rows


def _kind(value: Any) -> Any:
    """What must agree of two values: shapes of tensors, numbers of parameters, else types."""
    if isinstance(value, Tensor):
        return tuple(value.shape), value.is_floating_point()
    if isinstance(value, list | tuple):
        return [_kind(item) for item in value]
    if value is None or isinstance(value, bool):
        return FLAG
    return float if type(value) is int else type(value)


def _alike(own: tuple[list[Any], dict[Any, Any]], saved: tuple[list[Any], dict[Any, Any]]) -> bool:
    """Whether a saved outline is of the same optimiser; versions of torch differ in flags."""
    (groups, rows), (saved_groups, saved_rows) = own, saved
    return (
        len(groups) == len(saved_groups)
        and all(
            there.get(key, FLAG) == kind
            for here, there in zip(groups, saved_groups, strict=True)
            for key, kind in here.items()
        )
        and all(rows.get(index) == row for index, row in saved_rows.items())
    )


def check_stages(model: Trainable) -> list[Stage]:
    """The stages of a model.

    Raises:
        DanluError: shares do not sum to 1, or a play names no player.
    """
    stages, players = model.stages(), model.players()
    if abs(sum(stage.share for stage in stages) - 1.0) > 1e-6:
        raise DanluError(f"The shares of the stages sum to {sum(s.share for s in stages)}, not 1.")
    for stage in stages:
        for play in stage.plays:
            if play.name not in players:
                raise DanluError(f"Stage {stage.name!r} plays {play.name!r}, which is no player.")
        if not stage.plays:
            raise DanluError(f"Stage {stage.name!r} has no plays.")
    for before, stage in zip([None, *stages], stages, strict=False):
        ahead = {play.name for play in before.plays} if before else set()
        if stage.carries and ahead.isdisjoint(play.name for play in stage.plays):
            raise DanluError(
                f"Stage {stage.name!r} carries optimisers on, and no player of it played before."
            )
    return stages

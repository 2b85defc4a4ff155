"""Several processes train as one process does; the group is real, over gloo on this machine."""

import multiprocessing
import pickle
from dataclasses import dataclass

import pytest
import torch
import torch.distributed as dist
from torch import nn

from danlu.contracts import DanluError, Losses, NonFiniteError
from danlu.data import ExampleStream, open_source
from danlu.generative import FAMILIES
from danlu.laws.training.small_players import (
    OnePlayer,
    StopAfter,
    ThreePlayers,
    TwoPlayers,
    TwoStages,
    trainer,
)
from danlu.optim import OptimizerOptions
from danlu.training import Budget, Plan, Policy, Trainer, TrainingRun
from danlu.training.checkpoint import load_newest
from danlu.training.processes import ReplicatedProcesses, SingleProcess
from danlu.training.weights import snapshot

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
BATCH, STEPS = 9, 6  # 9 = 4 + 5: the processes have different numbers of examples


def together(work, folder, world=2):
    """What `work(processes)` gives in each of `world` forked processes."""
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    store = str(folder / "store")
    workers = [
        context.Process(target=_work, args=(work, store, rank, world, queue))
        for rank in range(world)
    ]
    for worker in workers:
        worker.start()
    found = dict(pickle.loads(queue.get()) for _ in workers)
    for worker in workers:
        worker.join()
    for answer in found.values():
        if isinstance(answer, BaseException):
            raise answer
    return [found[rank] for rank in range(world)]


def _work(work, store, rank, world, queue):
    try:
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
        answer = work(ReplicatedProcesses())
        dist.destroy_process_group()
    except BaseException as error:  # the parent raises it
        answer = error
    queue.put(pickle.dumps((rank, answer)))  # tensors by value: they outlive the process


@dataclass
class Ended:
    """What a run came to."""

    weights: dict
    steps: int
    losses: dict
    seconds: float


class Standardised(OnePlayer):
    """Feeds the network with running statistics that are gathered in `forward`."""

    def __init__(self):
        super().__init__()
        self.moments = Moments()

    def losses(self, x, player):
        return super().losses(self.moments(x), player)

    def after_step(self, player, progress):
        super().after_step(player, progress)
        self.moments.update()


class Moments(nn.Module):
    """Running mean and variance of what passes."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("variance", torch.ones(3))
        self.register_buffer("direction", torch.zeros(3))
        self.sums = []

    def forward(self, x):
        new = [x.new_tensor(len(x)), x.sum(0).detach(), x.square().sum(0).detach()]
        self.sums = [a + b for a, b in zip(self.sums, new, strict=True)] if self.sums else new
        return (x - self.mean) / self.variance.sqrt()

    def statistics(self):
        return self.sums

    def update(self):
        (n, total, squares), self.sums = self.sums, []
        mean = total / n
        self.mean.lerp_(mean, 0.5)
        self.variance.lerp_(squares / n - mean.square(), 0.5)
        self.direction.copy_(torch.randn(3, dtype=mean.dtype))  # the same in every process


def ended(kind, processes, **around):
    plan = Plan(batch=BATCH, optimizers={"default": OptimizerOptions(rate=0.01)})
    plan = around.pop("plan", plan)
    budget = around.pop("budget", Budget(steps=STEPS))
    run = trainer(kind, budget, plan=plan, processes=processes, **around)
    outcome = run.run()
    with run.averaged() as model:
        averaged = {f"average.{name}": value for name, value in snapshot(model).items()}
    status = run.status()
    return Ended(snapshot(run.model) | averaged, outcome.steps, status.losses, status.seconds)


def error(a, b):
    assert a.weights.keys() == b.weights.keys()
    assert a.steps == b.steps
    return max((a.weights[n] - b.weights[n]).abs().max().item() for n in a.weights)


@pytest.mark.parametrize("kind", [OnePlayer, TwoPlayers, ThreePlayers, TwoStages, Standardised])
def test_two_processes_equal_one_with_the_whole_batch(tmp_path, kind):
    one = ended(kind, SingleProcess())
    two = together(lambda processes: ended(kind, processes), tmp_path)
    assert error(*two) == 0.0, "processes drift apart"
    assert error(one, two[0]) <= 1e-13
    for name, parts in one.losses.items():
        assert two[1].losses[name] == pytest.approx(parts, abs=1e-13)


def family(name, processes):
    """A short float32 run of a family on digits; its weights in one row."""
    torch.manual_seed(0)
    source = open_source("digits")
    model = FAMILIES[name].build(source.description)
    stream = ExampleStream(source.training, source.description, batch=33, seed=0)
    run = TrainingRun(policy=Policy(), processes=processes)
    Trainer(model, stream, Plan(batch=33), Budget(steps=6), run=run).run()
    return torch.cat([tensor.double().flatten() for tensor in snapshot(model).values()])


@pytest.mark.long
@pytest.mark.parametrize("name", list(FAMILIES))
def test_two_processes_train_a_family_as_one_does(tmp_path, name):
    one = family(name, SingleProcess())
    two, other = together(lambda processes: family(name, processes), tmp_path)
    assert torch.equal(two, other)
    assert (one - two).norm() <= 1e-6 * one.norm()


def test_three_processes_with_micro_batches_equal_one(tmp_path):
    plan = Plan(batch=BATCH, micro_batches=2, optimizers={"default": OptimizerOptions(rate=0.01)})
    one = ended(Standardised, SingleProcess())
    three = together(lambda processes: ended(Standardised, processes, plan=plan), tmp_path, 3)
    assert error(one, three[2]) <= 1e-13


def test_one_play_is_one_collective(tmp_path):
    def count(processes):
        calls = []
        original = dist.all_reduce
        dist.all_reduce = lambda tensor, *rest: (calls.append(tensor.numel()), original(tensor))
        for weight in (weights := [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2, 2))]):
            weight.grad = torch.full_like(weight, 1.0 + processes.rank)
        weights[0].grad = None if processes.rank else weights[0].grad
        unused = nn.Parameter(torch.ones(1))
        statistic = torch.tensor([1.0, 2.0], dtype=torch.float64)
        processes.combine([*weights, unused], [statistic])
        return [*(w.grad for w in weights), statistic], unused.grad, calls

    for tensors, unused, calls in together(count, tmp_path):
        assert [t.unique().tolist() for t in tensors] == [[1.0], [3.0], [2.0, 4.0]]
        assert unused is None, "no process has a gradient for it"
        assert len(calls) == 1


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_checkpoint_goes_on_with_another_number_of_processes(tmp_path, before, after):
    straight = ended(TwoStages, SingleProcess())
    folder = tmp_path / "run"

    def part(stop, world, place):
        place.mkdir()

        def work(processes):
            hooks = [StopAfter(stop)] if stop else []
            return ended(TwoStages, processes, folder=folder, hooks=hooks)

        return [work(SingleProcess())] if world == 1 else together(work, place)

    stopped = part(4, before, tmp_path / "first")
    assert stopped[0].steps == 4, "the leader's hook stops all"
    resumed = part(None, after, tmp_path / "second")
    assert error(straight, resumed[-1]) <= 1e-13
    assert load_newest(folder)[0].meta.finished


def test_only_the_leader_writes_and_all_stop_at_the_same_step(tmp_path):
    def work(processes):
        folder = tmp_path / f"of-{processes.rank}"
        hooks = [StopAfter(3 if processes.rank == 0 else 1)]
        return ended(OnePlayer, processes, folder=folder, hooks=hooks).steps

    assert together(work, tmp_path) == [3, 3]
    assert (tmp_path / "of-0" / "checkpoints").is_dir()
    assert [p.name for p in (tmp_path / "of-1").iterdir()] == ["environment.json"]


def test_minutes_end_at_the_same_step(tmp_path):
    budget = Budget(minutes=0.2 / 60)
    two = together(lambda processes: ended(OnePlayer, processes, budget=budget), tmp_path)
    assert two[0].steps == two[1].steps > 1
    assert two[0].seconds == two[1].seconds
    assert error(*two) == 0.0


class Breaks(OnePlayer):
    """Has an infinite loss term where one certain example is."""

    def loss(self, batch, player, progress):
        losses = super().loss(batch, player, progress)
        bad = (batch.index == 7).any() & (progress.step >= 2)
        term = torch.where(bad, torch.inf, 0.0).to(losses.total)
        return Losses(losses.total + term, {**losses.parts, "extra": term})


def test_not_finite_in_one_process_stops_all(tmp_path):
    def work(processes):
        with pytest.raises(NonFiniteError) as caught:
            ended(Breaks, processes, budget=Budget(steps=30))
        return str(caught.value)

    first, second = together(work, tmp_path)
    assert first == second
    assert "'extra'" in first


def test_a_process_that_is_gone_is_told_in_one_line(tmp_path):
    def work(processes):
        if processes.rank:
            return ""
        with pytest.raises(DanluError, match="Another process has stopped") as caught:
            processes.largest(1.0)
        return str(caught.value)

    assert together(work, tmp_path)[0]


class Adrift(TwoStages):
    """Starts and finishes in another place in every process, until the trainer intervenes."""

    rank = 0

    def start(self, batch):
        assert len(batch) == BATCH, "the whole batch"
        self.last.bias.fill_(self.rank)

    def finish(self, batches):
        assert {len(batch) for batch in batches} == {BATCH}
        self.count.fill_(self.rank)


def test_start_and_finish_are_the_leaders(tmp_path):
    def work(processes):
        Adrift.rank = 10 + processes.rank
        return ended(Adrift, processes)

    two = together(work, tmp_path)
    assert error(*two) == 0.0
    assert two[1].weights["average.count"] == 10

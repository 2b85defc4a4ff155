import pytest
import torch

from danlu.contracts import DanluError
from danlu.data import ExampleStream, open_source
from danlu.generative import FAMILIES
from danlu.training import Budget, Plan, Trainer, TrainingRun
from danlu.training.hooks import Hook
from danlu.training.recomputing import WithinMemory, memory_from


class Notices(Hook):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def on_notice(self, trainer, text: str) -> None:
        self.lines.append(text)


def trained(family: str, memory: float | None) -> tuple[dict, list[str]]:
    source = open_source("digits")
    torch.manual_seed(0)
    model = FAMILIES[family].build(source.description, width=8)
    stream = ExampleStream(source.training, source.description, batch=32, seed=0)
    notices = Notices()
    hooks = [notices] if memory is None else [notices, WithinMemory(memory)]
    run = TrainingRun(folder=None, seed=0, hooks=hooks)
    Trainer(model, stream, Plan(batch=32), Budget(steps=3), run=run).run()
    return model.state_dict(), notices.lines


@pytest.mark.parametrize("family", ["rectified-flow", "vae", "gan", "latent-flow"])
def test_training_within_memory_ends_at_the_same_weights(family):
    plain, _ = trained(family, None)
    # The least that each model needs, found by asking for too little.
    with pytest.raises(DanluError, match="MiB at least") as refused:
        trained(family, 2.0)
    least = float(str(refused.value).split(" MiB at least")[0].split()[-1].replace(",", ""))
    tight, lines = trained(family, (least + 3) * 2**20)
    assert plain.keys() == tight.keys()
    assert all(torch.equal(plain[name], tight[name]) for name in plain)
    assert any("recomputed in backward" in line for line in lines)


def test_sizes_of_memory():
    assert memory_from("2GB") == 2 * 2**30
    assert memory_from("1.5mb") == 1.5 * 2**20
    for text in ("2", "GB", "-1GB", "2TB", "nanGB"):
        with pytest.raises(DanluError, match="write it as 500MB or 2GB"):
            memory_from(text)

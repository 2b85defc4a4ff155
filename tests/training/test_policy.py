import json

import pytest
import torch
from torch import nn

from danlu.contracts import Batch, DanluError, DataDescription, DataKind, Losses
from danlu.laws.training.small_players import OnePlayer, TwoStages, trainer
from danlu.training import Budget, Policy, policy
from danlu.training.policy import chosen_device, describe, settle
from danlu.training.weights import snapshot

IMAGE = DataDescription(kind=DataKind.IMAGE, shape=(3, 4, 4), levels=4, low=-1.0, high=1.0)
VECTOR = DataDescription(shape=(2,), levels=None, low=-1.0, high=1.0)


@pytest.mark.parametrize(
    ("flags", "autocast", "channels_last"),
    [
        ("fpu amx_bf16 amx_tile avx512_bf16", "bfloat16", True),
        ("fpu avx512_bf16", "bfloat16", False),
        ("fpu avx512f", "none", False),
        ("", "none", False),
    ],
)
def test_the_processor_decides(monkeypatch, flags, autocast, channels_last):
    monkeypatch.setattr(policy, "_cpu_field", lambda name: flags)
    chosen = Policy.choose("cpu", IMAGE)
    assert (chosen.autocast, chosen.channels_last) == (autocast, channels_last)
    chosen = Policy.choose("cpu", VECTOR)
    assert (chosen.autocast, chosen.channels_last) == ("none", False)


def test_nothing_is_compiled_unasked():
    assert not Policy.choose("cpu", IMAGE).compile
    assert not Policy.choose("cpu", IMAGE).kernels
    assert Policy.choose("auto", VECTOR).device in ("cpu", "cuda")


def test_a_device_that_is_not_here_is_refused():
    with pytest.raises(DanluError, match="no device 'cuda:7'"):
        Policy.choose("cuda:7", VECTOR)
    with pytest.raises(DanluError, match="no device 'gpu'"):
        Policy.choose("gpu", VECTOR)


def test_models_and_batches_are_placed():
    chosen = Policy(channels_last=True, autocast="bfloat16")
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    chosen.place(model)
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)
    batch = chosen.take(Batch(torch.zeros(2, 3, 4, 4), None, torch.arange(2)), torch.float64)
    assert batch.x.is_contiguous(memory_format=torch.channels_last)
    assert batch.x.dtype == torch.float64
    with chosen.precision():
        assert torch.zeros(2, 2).mm(torch.zeros(2, 2)).dtype == torch.bfloat16


def test_the_recorded_policy_is_reused(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: range(4))
    first, notices = settle(tmp_path, Policy(threads=3), VECTOR)
    assert notices == []
    assert settle(tmp_path, None, VECTOR) == (first, [])
    again, notices = settle(tmp_path, Policy(threads=1), VECTOR)
    assert again == first
    assert "keeps its recorded speed policy (cpu, float32, 3 threads)" in notices[0]
    recorded = json.loads((tmp_path / "environment.json").read_text())
    facts = {"danlu", "torch", "python", "system", "processor", "policy"}
    assert {*facts, "format", "digest"} == set(recorded)


def test_a_run_from_another_machine_goes_on_with_a_notice(tmp_path):
    settle(tmp_path, Policy(device="cuda:7"), VECTOR)
    found, notices = settle(tmp_path, Policy(), VECTOR)
    assert found == Policy()
    assert "trained on cuda:7" in notices[0]
    assert settle(tmp_path, None, VECTOR) == (found, [])


@pytest.mark.parametrize(("seconds", "kept"), [({1: 2.0, 4: 1.0}, 4), ({1: 1.0, 4: 9.0}, 1)])
def test_a_run_by_the_clock_takes_the_threads_that_are_quicker_now(monkeypatch, seconds, kept):
    monkeypatch.setattr(policy, "_seconds", seconds.get)
    assert Policy(threads=4).by_the_clock().threads == kept
    assert Policy(threads=1).by_the_clock().threads == 1


def test_probing_leaves_the_threads_as_they_were():
    before = torch.get_num_threads()
    assert policy._seconds(1) > 0
    assert torch.get_num_threads() == before


def test_policies_read_well():
    text = describe(Policy(autocast="bfloat16", channels_last=True, threads=2, compile=True))
    assert text == "cpu, bfloat16 autocast, channels last, 2 threads, compiled"


def test_a_failed_compilation_goes_on_in_eager(monkeypatch):
    def fail(*args):
        raise RuntimeError("file too short")

    monkeypatch.setattr(torch, "compile", lambda function: fail)
    run = trainer(OnePlayer, Budget(steps=4), policy=Policy(compile=True))
    outcome = run.run()
    assert outcome.notices == ("Compilation failed (RuntimeError); training goes on in eager.",)
    eager = trainer(OnePlayer, Budget(steps=4))
    eager.run()
    a, b = snapshot(run.model), snapshot(eager.model)
    assert all(torch.equal(a[name], b[name]) for name in a)


class Unnamed(OnePlayer):
    """Calls its network by a way that no compiler sees."""

    def losses(self, x, player):
        return Losses.of(error=(self.network.forward(x) - x).square().mean())


@pytest.mark.parametrize(("kind", "told"), [(Unnamed, 1), (OnePlayer, 0), (TwoStages, 0)])
def test_where_nothing_is_compiled_it_is_said_once(monkeypatch, kind, told):
    """VAEs, flows and staged models trained in eager without a word."""
    monkeypatch.setattr(torch, "compile", lambda function: function)
    notices = trainer(kind, Budget(steps=4), policy=Policy(compile=True)).run().notices
    assert len(notices) == told
    assert all(line.startswith("Nothing was compiled: ") for line in notices)


@pytest.mark.long
@pytest.mark.filterwarnings("default")
def test_compiled_training_agrees_with_eager(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    runs = [trainer(OnePlayer, Budget(steps=3), policy=Policy(compile=c)) for c in (True, False)]
    for run in runs:
        assert run.run().notices == ()
    a, b = (snapshot(run.model) for run in runs)
    assert all(torch.allclose(a[name], b[name], rtol=0, atol=1e-9) for name in a)


@pytest.mark.parametrize(
    ("asked", "cores", "threads", "told"),
    [("2", 8, 2, "OMP_NUM_THREADS says"), (None, 2, 2, "has cores"), (None, 8, 3, "")],
)
def test_threads_of_a_run_that_is_gone_on_with_are_those_of_now(
    tmp_path, monkeypatch, asked, cores, threads, told
):
    settle(tmp_path, Policy(threads=3), VECTOR)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
        monkeypatch.setattr(torch, "get_num_threads", lambda: int(asked))
    monkeypatch.setattr("os.sched_getaffinity", lambda process: range(cores))
    policy, notices = settle(tmp_path, None, VECTOR)
    assert policy.threads == threads
    assert len(notices) == bool(told)
    assert all(told in line and "The run had 3 threads" in line for line in notices)


@pytest.mark.parametrize(("cuda", "mps"), [(True, True), (True, False), (False, True)])
def test_auto_takes_a_gpu_of_either_kind(monkeypatch, cuda, mps):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert chosen_device("auto") == ("cuda" if cuda else "mps")


@pytest.mark.parametrize("name", ["hpu", "meta", "mps", "tpu", "", "cuda:99", "fpga", "7"])
def test_a_device_that_is_not_here_is_refused_in_one_line(name):
    with pytest.raises(DanluError, match=f"no device '{name}' here; use cpu"):
        chosen_device(name)

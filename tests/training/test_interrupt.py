import os
import signal
import threading

import pytest
import torch

from danlu.laws.training.small_players import OnePlayer, trainer
from danlu.training import Budget, Hook
from danlu.training.checkpoint import load_newest
from danlu.training.weights import snapshot


class Presses(Hook):
    """Presses Ctrl+C, or sends another signal, a number of times after the third round."""

    def __init__(self, times, number=signal.SIGINT):
        self.times = times
        self.number = number
        self.closed = 0

    def on_round(self, trainer, progress):
        if progress.step == 3:
            for _ in range(self.times):
                os.kill(os.getpid(), self.number)

    def close(self):
        self.closed += 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_saves_and_returns(tmp_path, number):
    before = signal.getsignal(number)
    hook = Presses(1, number)
    outcome = trainer(OnePlayer, Budget(steps=9), folder=tmp_path, hooks=[hook]).run()
    assert outcome.interrupted
    assert (outcome.steps, outcome.fraction) == (3, pytest.approx(1 / 3))
    assert hook.closed == 1
    assert load_newest(tmp_path)[0].meta.total.steps == 3
    assert signal.getsignal(number) is before


def test_a_second_one_exits_at_once(tmp_path):
    hook = Presses(2)
    with pytest.raises(SystemExit) as caught:
        trainer(OnePlayer, Budget(steps=9), folder=tmp_path, hooks=[hook]).run()
    assert caught.value.code == 130
    assert hook.closed == 1
    assert load_newest(tmp_path) == (None, [])


def test_a_hang_up_that_is_ignored_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        hook = Presses(1, signal.SIGHUP)
        run = trainer(OnePlayer, Budget(steps=9), folder=tmp_path, hooks=[hook])
        assert not run.run().interrupted
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interrupted_trainer_can_go_on_itself():
    run = trainer(OnePlayer, Budget(steps=9), hooks=[Presses(1)])
    assert run.run().interrupted
    assert not run.run().interrupted
    straight = trainer(OnePlayer, Budget(steps=9))
    straight.run()
    a, b = snapshot(run.model), snapshot(straight.model)
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_other_threads_leave_signals_alone():
    steps = []
    before = signal.getsignal(signal.SIGINT)

    def work():
        steps.append(trainer(OnePlayer, Budget(steps=3)).run().steps)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert steps == [3]
    assert signal.getsignal(signal.SIGINT) is before

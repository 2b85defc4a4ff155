"""Processes that start together agree on a name that nobody had before."""

import threading
from datetime import timedelta

import pytest
import torch.distributed as dist

from danlu.contracts import DanluError
from danlu.training.joining import agreed_name


def meeting(store, numbers):
    """What `agreed_name` gives to each process, which are threads here."""
    found = {}

    def join(rank):
        found[rank] = agreed_name(store, rank, len(numbers), timedelta(seconds=20))

    threads = [threading.Thread(target=join, args=(rank,)) for rank in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_every_start_has_a_name_of_its_own():
    store, names = dist.HashStore(), set()
    for _ in range(3):
        found = meeting(store, range(3))
        assert len(set(found.values())) == 1
        assert len(found) == 3
        names.add(found[0])
    assert len(names) == 3, "a start took the name of an earlier one"


def test_a_process_that_died_while_they_met_is_not_waited_for():
    store = dist.HashStore()
    with pytest.raises(DanluError, match="did not come"):
        agreed_name(store, 1, 2, timedelta(seconds=0.1))
    with pytest.raises(DanluError, match="did not come"):
        agreed_name(store, 0, 3, timedelta(seconds=0.3))
    assert len(set(meeting(store, range(3)).values())) == 1

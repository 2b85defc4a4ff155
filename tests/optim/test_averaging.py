import pytest
import torch
from torch import nn

from danlu.optim import PowerAverage


def test_swap_shows_the_averages_and_gives_the_weights_back():
    weight = nn.Parameter(torch.zeros(2))
    average = PowerAverage([weight], gamma=1.0)
    for value in (1.0, 2.0):
        weight.data = torch.full((2,), value)
        average.update()
    with average.swap():
        assert weight.tolist() == [1.75, 1.75]  # (1 * 1 + 3 * 2) / 4
    with pytest.raises(ZeroDivisionError), average.swap():
        _ = 1 / 0
    assert weight.tolist() == [2.0, 2.0]
    average.copy_to_parameters()
    assert weight.tolist() == [1.75, 1.75]


def test_memory_order_and_the_parameter_object_survive():
    conv = nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last)
    parameter = conv.weight
    average = PowerAverage(conv.parameters())
    average.update()
    with average.swap():
        assert conv.weight is parameter
        assert conv.weight.is_contiguous(memory_format=torch.channels_last)


def test_nothing_to_average_is_fine():
    average = PowerAverage([])
    average.update()
    assert average.state_dict() == {"steps": 1}


def test_negative_exponent_is_refused():
    with pytest.raises(ValueError, match="gamma"):
        PowerAverage([], gamma=-1.0)

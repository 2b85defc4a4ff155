"""`torch.compile` for the players' networks, with a way back to eager."""

from collections.abc import Iterable

from torch import nn

from danlu.training.trainable import Trainable


def compile_networks(model: Trainable) -> list[nn.Module]:
    """Compile every player's networks in place; names of weights stay. Returns the networks.

    Compilation happens at the first call, so this returns at once.
    """
    networks = list(dict.fromkeys(_networks(model)))
    for network in networks:
        network.compile()
    return networks


def back_to_eager(networks: Iterable[nn.Module]) -> None:
    """Undo `compile_networks`."""
    for network in networks:
        network._compiled_call_impl = None


def _networks(model: Trainable) -> Iterable[nn.Module]:
    for modules in model.players().values():
        for module in modules:
            # The whole model is no network: its loss is not its forward pass.
            yield from module.children() if module is model else [module]

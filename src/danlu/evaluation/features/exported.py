"""A feature space of one's own: a network exported by `torch.export.save`.

It takes examples on the scale of the data, `[batch, *shape]` with a dynamic batch, and returns
features, `[batch, ...]`:

    batch = torch.export.Dim("batch")
    program = torch.export.export(network, (x,), dynamic_shapes=({0: batch},))
    torch.export.save(program, "net.pt2")
"""

from pathlib import Path

import torch
from torch import Tensor

from danlu.contracts import DanluError, DataDescription
from danlu.evaluation.features.cache import file_hash
from danlu.evaluation.features.space import FeatureSpace


def from_file(path: Path, description: DataDescription) -> FeatureSpace:
    """The space of an exported network; its name is the file's.

    Raises:
        DanluError: no such file, no exported program, or it does not take this data.
    """
    if not path.is_file():
        raise DanluError(f"There is no feature network {path}.")
    try:
        program = torch.export.load(path)
    except Exception as error:  # what a damaged archive raises is not documented
        raise DanluError(
            f"{path} is no exported network ({type(error).__name__}); "
            "write it with torch.export.save."
        ) from error
    _check_input(path, program, description)
    network = program.module()

    def embed(x: Tensor) -> Tensor:
        # Exported programs may refuse a batch of one.
        return network(torch.cat([x, x]) if len(x) == 1 else x)[: len(x)].flatten(1)

    return FeatureSpace(
        path.stem, file_hash(path), embed, title=f"features of the network {path.name}"
    )


def _check_input(
    path: Path, program: torch.export.ExportedProgram, description: DataDescription
) -> None:
    names = program.graph_signature.user_inputs
    nodes = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in names]
    shapes = [tuple(node.meta["val"].shape) for node in nodes]
    if len(shapes) != 1 or shapes[0][1:] != description.shape:
        found = ", ".join(str(shape[1:]) for shape in shapes) or "nothing"
        raise DanluError(
            f"{path} takes examples of shape {found}; this data has {description.shape}."
        )
    if isinstance(shapes[0][0], int):
        raise DanluError(
            f"{path} takes batches of exactly {shapes[0][0]}; export it with a dynamic batch: "
            'dynamic_shapes=({0: torch.export.Dim("batch")},).'
        )

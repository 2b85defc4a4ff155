"""What a person should hear before training starts: sizes and counts that promise little."""

import torch

from danlu.contracts import DataDescription

LARGE_FOR_CPU = 64
FEW_TRAINING = 500
FEW_HELD_OUT = 1_000


def cautions(description: DataDescription, training: int, held_out: int) -> list[str]:
    """One line for each fact that limits what this data can show on this machine."""
    lines = []
    size = max(description.shape[1:], default=0)
    if size > LARGE_FOR_CPU and not torch.cuda.is_available():
        lines.append(
            f"Images of {size} pixels promise nothing on a CPU in minutes: "
            f"--size 32 or {LARGE_FOR_CPU} will show more."
        )
    if training < FEW_TRAINING:
        lines.append(
            f"Only {training} training examples: expect models to copy them rather than to "
            f"generalise; {FEW_TRAINING} or more are better."
        )
    if held_out < FEW_HELD_OUT:
        lines.append(
            f"Only {held_out} held-out examples: distances are unreliable below "
            f"{FEW_HELD_OUT:,}; compare them with the floor row only."
        )
    return lines

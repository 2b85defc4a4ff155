"""Where a training run stands; every schedule, ramp and start is a function of `fraction`."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """The clock of one stage.

    Attributes:
        step: rounds finished in this stage; one round runs every play once.
        fraction: share of this stage's budget that is spent, in [0, 1]; by steps or by time.
        seed: fresh for every play, a function of (run seed, stage, step, play) alone, so that
            a resumed run draws what the straight run drew.
    """

    step: int
    fraction: float
    seed: int


def derive_seed(*keys: int | str) -> int:
    """A 63-bit seed from any keys; stable over processes, machines and Python versions."""
    digest = hashlib.blake2b(repr(keys).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1

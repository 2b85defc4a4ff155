"""The contract of every generative model: players and losses to train, capabilities to use.

A family implements `players`, `loss` and the hooks behind the capabilities it declares in `can`:
`draw` (sample), `evidence` (log_prob), `encode` and `decode`. The public methods check the
capability, the condition and the options once, for all families.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from danlu.contracts import (
    Asked,
    CapabilityError,
    DanluError,
    DataDescription,
    DataKind,
    Evidence,
    Export,
    One,
    Told,
    kinds_of,
    name_of,
    read_condition,
    unknown,
)
from danlu.contracts.noise import ItemNoise, Noise
from danlu.generative.trained import Trained

Code = Tensor | tuple[Tensor, ...]

CAPABILITIES = ("sample", "log_prob", "encode", "decode", "reconstruct", "condition")


@dataclass(frozen=True, kw_only=True, slots=True)
class NoOptions:
    """The options of a family that has none."""


class GenerativeModel(Trained):
    """A model of data described by a `DataDescription`; see the module docstring.

    Attributes:
        can: capabilities out of `CAPABILITIES`.
        instead: capability, or `export`, -> why it is missing and what to use instead.
        Options: frozen dataclass of this family's sampling and likelihood options.
        kinds: of data that it learns.
        honours: the kinds of conditions that it can be told, by name.
        picture_options: options for pictures that people look at; None for the defaults.
        picture_note: what such a picture shows, where it is not a plain sample.
        cautions: what a person should hear before it is trained.
    """

    can: frozenset[str]
    instead: ClassVar[dict[str, str]] = {}
    Options: type = NoOptions
    kinds: ClassVar[frozenset[DataKind]] = frozenset({DataKind.VECTOR, DataKind.IMAGE})
    honours: ClassVar[frozenset[str]] = frozenset(kind.name for kind in get_args(One))
    picture_options: Any = None
    picture_note: str = ""
    cautions: tuple[str, ...] = ()

    def __init__(self, description: DataDescription) -> None:
        super().__init__()
        refused = {kind.name for kind in kinds_of(description.condition)} - self.honours
        if refused and "condition" in self.can:
            raise DanluError(
                f"{type(self).__name__} cannot be told {' and '.join(sorted(refused))}, only "
                f"{' or '.join(sorted(self.honours))}: take another family, or data without it."
            )
        self.description = description

    # --- use ----------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(
        self,
        n: int,
        *,
        condition: Asked = None,
        seed: int = 0,
        options: Any = None,
        batch: int = 250,
    ) -> Float[Tensor, "n ..."]:
        """Draw `n` samples, `[n, *shape]`, on the scale of the data.

        Noise is a function of (seed, step, item): `batch` changes the memory and nothing else.

        Raises:
            CapabilityError: the model cannot sample, or not under a condition.
            DanluError: a condition or an option does not fit, or a count is impossible.
        """
        self.require("sample")
        if n < 0 or batch < 1:
            raise DanluError(f"Cannot draw {n} samples, {batch} at a time.")
        options = self.check_options(options)
        told = self.check_condition(condition, n)
        parts = []
        for first in range(0, n, batch):
            items = range(first, min(first + batch, n))
            noise = ItemNoise(seed, items, device=self.device, dtype=self.dtype)
            part = None if told is None else told[first : first + batch]
            parts.append(self.draw(noise, len(items), part, options))
        if not parts:
            return torch.empty(0, *self.description.shape, device=self.device, dtype=self.dtype)
        return torch.cat(parts)

    @torch.no_grad()
    def log_prob(
        self,
        x: Float[Tensor, "batch ..."],
        *,
        condition: Asked = None,
        seed: int = 0,
        options: Any = None,
    ) -> Evidence:
        """The log-likelihood of each example in nats, with its bound, error and measure.

        Raises:
            CapabilityError: the model has no likelihood.
            DanluError: wrong shape, value, condition or option.
        """
        self.require("log_prob")
        x = self.check_data(x, "log_prob")
        options = self.check_options(options)
        told = self.check_condition(condition, len(x))
        noise = ItemNoise(seed, range(len(x)), device=self.device, dtype=self.dtype)
        # A likelihood in low precision would not be the model's.
        with torch.autocast(self.device.type, enabled=False):
            return self.evidence(x, noise, told, options)

    def reconstruct(
        self, x: Float[Tensor, "batch ..."], *, condition: Asked = None, seed: int = 0
    ) -> Float[Tensor, "batch ..."]:
        """`decode(encode(x))`."""
        self.require("reconstruct")
        code = self.encode(x, condition=condition, seed=seed)
        return self.decode(code, condition=condition, seed=seed)

    def encode(self, x: Tensor, *, condition: Asked = None, seed: int = 0) -> Code:
        """Data to code."""
        raise self.lacks("encode")

    def decode(self, code: Code, *, condition: Asked = None, seed: int = 0) -> Tensor:
        """Code to data."""
        raise self.lacks("decode")

    # --- hooks behind the public methods --------------------------------------------------------

    def draw(self, noise: Noise, n: int, condition: Told, options: Any) -> Float[Tensor, "n ..."]:
        """Samples from item-wise noise; called without gradients."""
        raise self.lacks("sample")

    def evidence(self, x: Tensor, noise: Noise, condition: Told, options: Any) -> Evidence:
        """The typed likelihood of a checked batch; may carry gradients, `log_prob` has none."""
        raise self.lacks("log_prob")

    def held_out_figures(
        self, x: Tensor, *, seed: int = 0
    ) -> Mapping[str, Float[Tensor, " batch"]]:
        """What is measured on held-out text: name -> a value of each example, to be averaged."""
        return {}

    def prior_mismatch(self, x: Float[Tensor, "batch ..."]) -> Float[Tensor, " batch"] | None:
        """Bound in nats on what assuming its prior costs a flow; None where nothing is assumed."""
        return None

    def sampling_evaluations(self, options: Any) -> int:
        """Calls of networks for one sample under the given options; one if there is a network."""
        return min(1, len(self.networks()))

    def exports(self, options: Any) -> dict[str, Export]:
        """What samples are made with, as functions that run without danlu, by name.

        `options` are those of sampling. A family that has nothing to hand out says why in
        `instead["export"]`.
        """
        return {}

    # --- checks -------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """Type of the parameters."""
        return next((p.dtype for p in self.parameters()), torch.get_default_dtype())

    def lacks(self, capability: str) -> CapabilityError:
        """The error for a missing capability: model, reason, alternative."""
        reason = self.instead.get(capability, f"it can: {', '.join(sorted(self.can))}.")
        return CapabilityError(f"{type(self).__name__} has no {capability}: {reason}")

    def require(self, capability: str) -> None:
        """Raise `CapabilityError` unless the capability is declared."""
        if capability not in CAPABILITIES:
            raise unknown("capability", capability, CAPABILITIES)
        if capability not in self.can:
            raise self.lacks(capability)

    def check_options(self, options: Any) -> Any:
        """The family's options; defaults for None."""
        if options is None:
            return self.Options()
        if not isinstance(options, self.Options):
            raise DanluError(
                f"{type(self).__name__} takes options of type {self.Options.__name__}, "
                f"got {type(options).__name__}."
            )
        return options

    def check_data(self, x: Tensor, what: str) -> Float[Tensor, "batch ..."]:
        """Examples in the type and on the device of the parameters.

        Raises:
            DanluError: there are none, or their shape or values are not those of the data.
        """
        shape, low, high = self.description.shape, self.description.low, self.description.high
        if tuple(x.shape[1:]) != shape:
            raise DanluError(f"{what} expects examples of shape {shape}, got {tuple(x.shape[1:])}.")
        if not len(x):
            raise DanluError(f"{what} needs at least one example.")
        least, most = float(x.min()), float(x.max())
        if not (math.isfinite(least) and math.isfinite(most)):
            raise DanluError(f"{what} expects finite values; some are NaN or infinite.")
        near = self.description.spacing / 2 if self.description.levels else math.inf
        if least < low - near or most > high + near:
            raise DanluError(
                f"{what} expects the {self.description.levels} levels of the data, {low:g} to "
                f"{high:g}, and got values from {least:g} to {most:g}."
            )
        return x.to(self.device, self.dtype)

    def check_code(self, code: Code) -> tuple[Code, int]:
        """A code on the model's device, its numbers in the type of the parameters; its length."""
        parts = code if isinstance(code, tuple) else (code,)
        if not len(parts[0]):
            raise DanluError("decode needs at least one code.")
        moved = tuple(
            part.to(self.device, self.dtype if part.is_floating_point() else None) for part in parts
        )
        return (moved if isinstance(code, tuple) else moved[0]), len(parts[0])

    def check_condition(self, condition: Asked, n: int) -> Told:
        """What n examples are told, on the model's device; None asks for the null condition."""
        if condition is None:
            return None
        self.require("condition")
        kind = self.description.condition
        if kind is None:
            raise DanluError(f"{type(self).__name__} was built for data without classes.")
        return read_condition(kind, condition, n).to(self.device, self.dtype)

    def named(self, condition: Told) -> str:
        """What evidence is conditioned on, by name."""
        return "none" if condition is None else name_of(self.description.condition)

r"""Amos: Adam-like steps whose weight decay and learning rate fall by themselves, in little memory.

Every tensor $\theta$ has a scale $\eta$, the size that its entries are expected to have at the
end of training. With the gradient $g$, the step size $\xi$ (`lr`), the mean $M$ of $g^2$ over the
axes that the state does not keep, and the states $v, b$ of that reduced shape, first 0,

$v \leftarrow \beta v + (1 - \beta) M, \qquad r = (1 - \beta^t) / \max(v, 2^{-125}),$

$c = (1 + c_0 \sqrt\xi\, b)^{-1/2}, \qquad \gamma = c\, \xi^2 r M, \qquad
d = (1 + d_0 \sqrt{\xi\eta}\, b)^{-1},$

$\Delta = d\,[(\gamma / 2 + \lambda)\,\theta + \xi\eta \sqrt r\, g], \qquad
b \leftarrow b + \gamma (1 + b), \qquad \theta \leftarrow \theta - \bar\Delta,$

where $\bar\Delta$ is $\Delta$, or with `momentum` $\mu$ its average
$\bar\Delta \leftarrow \mu \bar\Delta + (1 - \mu) \Delta$, decay included. The published
`extra_l2` is $\lambda = \xi \cdot$ `weight_decay`, so that decay means the same as for AdamW.

When to use it: where the memory of AdamW hurts (without momentum Amos keeps next to nothing,
with it half as much), and in long runs, since it needs no decay schedule. Take $\xi \approx
1/\sqrt N$ with N the number of independent training batches, and $1 - \beta$ of that order.
`danlu.optim.scales` has the rules for $\eta$.

Sources: arXiv:2210.11693 alg. 1; kexue.fm/archives/9344.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import override

from danlu.contracts import DanluError
from danlu.optim.options import OptimizerOptions
from danlu.optim.parameters import NamedParameter, by_factors
from danlu.optim.scales import scale_of

SMALLEST = 2.0**-125
"""Lower end of the second moment: its reciprocal is still a float32."""

Moments = Literal["rows", "scalar", "full"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AmosForm:
    """Settings of Amos that seldom change; a parameter group may override each of them.

    Attributes:
        clip: entries of the gradient are first cut to [-clip, clip]; None for no cut.
        rate_decay: $d_0$, how fast the steps shrink.
        decay_decay: $c_0$, how fast the weight decay falls.
        moments: shape of the states: "rows" keeps axis 0 of tensors with at least two axes,
            "scalar" keeps none, "full" keeps all.
    """

    clip: float | None = None
    rate_decay: float = 0.25
    decay_decay: float = 0.25
    moments: Moments = "rows"


class Amos(Optimizer):
    """Adaptive weight decay towards model-oriented scale."""

    def __init__(
        self,
        params: Any,
        lr: float,
        eta: float | Sequence[float] | None = None,
        *,
        beta: float = 0.999,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        form: AmosForm | None = None,
    ) -> None:
        """Amos over parameters or groups; `eta` is one number, or one for each parameter."""
        form = form or AmosForm()
        defaults = {
            "lr": lr,
            "eta": eta,
            "beta": beta,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "clip": form.clip,
            "rate_decay": form.rate_decay,
            "decay_decay": form.decay_decay,
            "moments": form.moments,
        }
        self._gathered: dict[int, list[Gathered]] = {}
        super().__init__(params, defaults)

    @override
    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        _check(self.param_groups[-1])

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._gathered = {}
        super().load_state_dict(state_dict)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._gathered = {}

    @torch.no_grad()
    @override
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for index, group in enumerate(self.param_groups):
            for gathered in self._tensors(index, group):
                gathered.step(group)
        return loss

    def _tensors(self, index: int, group: dict[str, Any]) -> "list[Gathered]":
        """The tensors of a group that have gradients, with their states laid end to end."""
        live = [p for p in group["params"] if p.grad is not None]
        known = self._gathered.get(index)
        if known is not None and [id(p) for p in live] == [id(p) for g in known for p in g.weights]:
            return known
        etas = group["eta"]
        etas = dict(zip(group["params"], etas, strict=True)) if isinstance(etas, list) else {}
        rows: dict[Any, list[nn.Parameter]] = {}
        for p in live:
            state = self.state[p]
            if not state:
                _first_state(p, state, group)
            rows.setdefault((p.device, p.dtype, state["step"]), []).append(p)
        found = [
            Gathered(weights, [self.state[p] for p in weights],
                     [etas.get(p, group["eta"]) for p in weights])
            for weights in rows.values()
        ]  # fmt: skip
        self._gathered[index] = found
        return found


class Gathered:
    """Tensors of one device, dtype and age; small states of all of them are one vector each.

    So the arithmetic on the states costs the same for one tensor and for a thousand; what is in
    the optimiser's `state` are views of these vectors. So is what a step computes from them: on
    small networks, making views would take longer than the arithmetic.
    """

    def __init__(
        self, weights: list[nn.Parameter], states: list[dict[str, Any]], etas: list[float]
    ) -> None:
        self.weights, self.states = weights, states
        self.shapes = [state["second_moment"].shape for state in states]
        self.sizes = [shape.numel() for shape in self.shapes]
        # The axes over which a squared gradient is averaged, and how many numbers that are.
        self.axes = [
            tuple(i for i, n in enumerate(shape) if n < p.shape[i])
            for p, shape in zip(weights, self.shapes, strict=True)
        ]
        self.second_moment = self._joined("second_moment")
        self.progress = self._joined("progress")
        self.count = self._spread([p.numel() / n for p, n in zip(weights, self.sizes, strict=True)])
        self.eta = self._spread(etas)
        self.root_eta, self.one = self.eta.sqrt(), torch.ones_like(self.eta)
        # Of the update: what multiplies weights and gradients, beside numbers common to all.
        self.squares, self.shrink, self.rate = (torch.empty_like(self.eta) for _ in range(3))
        self.norms, self.shrinks, self.rates = map(
            self._views, (self.squares, self.shrink, self.rate)
        )

    def step(self, group: dict[str, Any]) -> None:
        """One step of all the tensors."""
        gradients: list[Tensor] = [p.grad for p in self.weights]  # type: ignore[misc]
        if group["clip"] is not None:
            clipped = torch._foreach_clamp_max(gradients, group["clip"])  # pyright: ignore
            gradients = list(clipped)
            torch._foreach_clamp_min_(gradients, -group["clip"])  # pyright: ignore
        self._mean_squares(gradients)
        rate = self._factors(group)
        weights = [p.data for p in self.weights]
        momentum = group["momentum"]
        if not momentum:
            torch.sub(self.one, self.shrink, alpha=0.5, out=self.shrink)
            torch._foreach_mul_(weights, self.shrinks)  # pyright: ignore
            torch._foreach_addcmul_(weights, gradients, self.rates, -rate)  # pyright: ignore
            return
        averages, new = [state["momentum"] for state in self.states], 1 - momentum
        torch._foreach_mul_(averages, momentum)  # pyright: ignore
        torch._foreach_addcmul_(averages, weights, self.shrinks, 0.5 * new)  # pyright: ignore
        torch._foreach_addcmul_(averages, gradients, self.rates, rate * new)  # pyright: ignore
        torch._foreach_sub_(weights, averages)  # pyright: ignore

    def _factors(self, group: dict[str, Any]) -> float:
        """Moves the states on and fills `shrink` and `rate`; returns what is left of the rate."""
        steps = self.states[0]["step"] + 1
        for state in self.states:
            state["step"] = steps
        xi, beta, v, b = group["lr"], group["beta"], self.second_moment, self.progress
        v.lerp_(self.squares, 1 - beta)
        floored, debias = v.clamp_min(SMALLEST), 1 - beta**steps
        falling = torch.add(self.one, b, alpha=group["decay_decay"] * xi**0.5).rsqrt_()
        slowing = torch.addcmul(self.one, self.root_eta, b, value=group["rate_decay"] * xi**0.5)
        gamma = self.squares.div_(floored).mul_(falling).mul_(debias * xi**2)
        decayed = gamma + 2 * xi * group["weight_decay"] if group["weight_decay"] else gamma
        torch.div(decayed, slowing, out=self.shrink)
        torch.div(floored.rsqrt_().mul_(self.eta), slowing, out=self.rate)
        b.addcmul_(gamma, b + 1)
        return xi * debias**0.5

    def _mean_squares(self, gradients: list[Tensor]) -> None:
        """Fill `squares`, the mean of each gradient's squares over the axes without a state."""
        for g, axes, norm in zip(gradients, self.axes, self.norms, strict=True):
            if axes:
                torch.linalg.vector_norm(g, dim=axes, keepdim=True, dtype=norm.dtype, out=norm)
            else:
                norm.copy_(g)
        self.squares.square_().div_(self.count)

    def _joined(self, name: str) -> Tensor:
        """The states of all tensors in one vector; the states become its views."""
        parts = [state[name] for state in self.states]
        dtype = torch.promote_types(self.weights[0].dtype, torch.float32)
        joined = torch.cat([part.reshape(-1).to(dtype) for part in parts])
        for state, view in zip(self.states, self._views(joined), strict=True):
            state[name] = view
        return joined

    def _views(self, joined: Tensor) -> list[Tensor]:
        parts = joined.split(self.sizes)
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def _spread(self, values: list[float]) -> Tensor:
        like = self.second_moment
        sizes = torch.tensor(self.sizes, device=like.device)
        return torch.tensor(values, dtype=like.dtype, device=like.device).repeat_interleave(sizes)


def build(
    named: Sequence[NamedParameter] | None = None, options: OptimizerOptions | None = None
) -> Amos:
    """Amos over named parameters, each at its scale.

    Raises:
        DanluError: a parameter has no scale.
    """
    options = options or OptimizerOptions(name="amos")
    if named is None:
        weight = nn.Parameter(torch.ones(2, 2, dtype=torch.float64))
        named = [NamedParameter("weight", nn.Linear, "weight", weight)]
    groups = [
        {
            "params": [row.parameter for row in rows],
            "eta": [scale_of(row, options.scales) for row in rows],
            "lr": options.rate * rate,
            "weight_decay": options.weight_decay * decay,
        }
        for (rate, decay), rows in by_factors(named).items()
    ]
    momentum, beta = options.betas
    rate_decay, decay_decay = options.falling
    form = AmosForm(clip=options.value_clip, rate_decay=rate_decay, decay_decay=decay_decay)
    return Amos(groups, options.rate, beta=beta, momentum=momentum, form=form)


def _check(group: dict[str, Any]) -> None:
    """Refuse a group that cannot be optimised; a sequence of scales becomes a list."""
    eta, n = group["eta"], len(group["params"])
    if eta is None:
        raise DanluError("Amos needs eta, the expected size of the weights, for every group.")
    if not isinstance(eta, float):
        group["eta"] = eta = [float(value) for value in eta]
    scales = eta if isinstance(eta, list) else [eta]
    if isinstance(eta, list) and len(eta) != n:
        raise DanluError(f"A group of {n} parameters got {len(eta)} scales.")
    if not all(value > 0 for value in scales):
        raise DanluError(f"The scales of Amos must be positive, got {min(scales)}.")
    if not (group["lr"] >= 0 and 0 <= group["beta"] < 1 and 0 <= group["momentum"] < 1):
        raise DanluError("Amos needs lr >= 0 and beta and momentum in [0, 1).")
    if group["clip"] is not None and not group["clip"] > 0:
        raise DanluError(f"clip must be positive or None, got {group['clip']}.")


def _first_state(p: nn.Parameter, state: dict[str, Any], group: dict[str, Any]) -> None:
    assert p.grad is not None
    if p.grad.is_sparse:
        raise DanluError("Amos takes no sparse gradients; make the embedding with sparse=False.")
    shape = list(p.shape) if group["moments"] == "full" else [1] * p.ndim
    if group["moments"] == "rows" and p.ndim > 1:
        shape[0] = p.shape[0]
    state["step"] = 0
    dtype = torch.promote_types(p.dtype, torch.float32)
    state["second_moment"] = torch.zeros(shape, dtype=dtype, device=p.device)
    state["progress"] = torch.zeros(shape, dtype=dtype, device=p.device)
    if group["momentum"]:
        state["momentum"] = torch.zeros_like(p)

"""Golden values of the mixers that go token by token, and of the linear systems."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from danlu.laws.constants import Golden, constants, defaults, golden, normal, uniform
from danlu.laws.draws import seed
from danlu.layers.norms import EPSILON
from danlu.layers.shift import ShortConvolution
from danlu.mixers.hippo_fourier import HippoFourier
from danlu.mixers.hippo_legs import HippoLegS
from danlu.mixers.hippo_legt import HippoLegT
from danlu.mixers.lru import LRU
from danlu.mixers.mamba import Mamba
from danlu.mixers.mamba2 import Mamba2, step_bias
from danlu.mixers.rnn import RNN
from danlu.mixers.rwkv4 import RWKV4
from danlu.mixers.rwkv6 import RWKV6
from danlu.mixers.rwkv_channels import RWKVChannels
from danlu.mixers.s4 import S4
from danlu.mixers.s4d import S4D, inverse_spectrum, linear_spectrum
from danlu.mixers.slru import SLRU
from danlu.optim.parameters import Rule

SLOW, KEPT = Rule(decay=0.0, rate=0.25), Rule(decay=0.0)


def _rules(layer: Any, names: tuple[str, ...], rule: Rule) -> float:
    """1 unless these parameters alone have the rule."""
    return float(layer.parameter_rules() != dict.fromkeys(names, rule))


def _steps(found: Tensor) -> Tensor:
    """The logarithm of the softplus of a bias."""
    return torch.nn.functional.softplus(found).log()


def mamba() -> Golden:
    """State 16, 2 d channels, filters of 4; A = -1 ... -N, D = 1, log-uniform steps."""
    layer, low, high = Mamba(800, expand=1), math.log(1e-3), math.log(1e-1)
    small = Mamba(6, rank=4, expand=300)
    tiny = Mamba(17)
    return [
        defaults(
            "arXiv:2312.00752 §3.4, mamba_ssm", Mamba, states=16, expand=2, width=4, rank=None
        ),
        golden("mamba_ssm: rank ceil(d / 16)", [layer.sizes[0], tiny.sizes[0]], [50, 2]),
        golden("§3.6: A_n = -(n + 1)", layer.log_rate.exp()[3], torch.arange(1.0, 17)),
        golden("D = 1", layer.skip, torch.ones(800)),
        uniform(
            "§3.6: softplus^-1 of log-uniform [1e-3, 1e-1]", _steps(layer.delta.bias), low, high
        ),
        uniform("mamba_ssm: dt_proj within rank^-1/2", small.delta.weight, -0.5, 0.5),
        golden(
            "§3.6: A, D, b do not fade",
            _rules(layer, ("log_rate", "skip", "delta.bias"), KEPT),
            0.0,
        ),
        golden("channels and taps", [*tiny.convolution.weight.shape], [34, 4]),
    ]


def mamba2() -> Golden:
    """Heads of 64, A of U(1, 16), the same steps."""
    torch.manual_seed(seed(1))
    layer = Mamba2(400, head_dim=1, state_size=2, expand=2)
    low, high = math.log(1e-3), math.log(1e-1)
    return [
        defaults(
            "mamba_ssm: heads of 64, filters of 4; the state of 64 is ours, theirs is 128",
            Mamba2,
            state_size=64,
            head_dim=64,
            expand=2,
            groups=1,
            width=4,
        ),
        uniform("mamba_ssm: A_init_range (1, 16)", layer.log_rate.exp(), 1.0, 16.0),
        uniform("softplus^-1 of log-uniform [1e-3, 1e-1]", _steps(layer.step_bias), low, high),
        golden("D = 1", layer.skip, torch.ones(800)),
        defaults("dt_init_floor 1e-4", step_bias, low=1e-3, high=0.1, floor=1e-4),
        golden(
            "steps below the floor are the floor",
            _steps(step_bias(9, 1e-7, 1e-6)).exp(),
            [1e-4] * 9,
        ),
    ]


def rwkv4() -> Golden:
    """RWKV-v4neo's start of layer 1 of 3 and of the first, channel by channel."""
    layer, first, d = RWKV4(8, layer=1, depth=3), RWKV4(8), range(8)
    late, early = 1 / 2, 1 - 1 / 3
    zigzag = [0.5 * ((i + 1) % 3 - 1) for i in d]
    mixing = RWKVChannels(8, layer=1, depth=3)
    return [
        defaults("RWKV-v4neo", RWKV4, layer=0, depth=1),
        golden(
            "-5 + 8 (h / (d - 1))^(0.7 + 1.3 l)",
            layer.decay,
            [-5 + 8 * (i / 7) ** (0.7 + 1.3 * late) for i in d],
        ),
        golden("log 0.3 + zigzag", layer.bonus, [math.log(0.3) + z for z in zigzag]),
        golden("(i / d)^(1 - l / L)", layer.key_mix, [(i / 8) ** early for i in d]),
        golden("and 0.3 l / (L - 1)", layer.value_mix, [(i / 8) ** early + 0.3 * late for i in d]),
        golden("half the power", layer.receptance_mix, [(i / 8) ** (early / 2) for i in d]),
        golden("one layer alone", first.decay, [-5 + 8 * (i / 7) ** 0.7 for i in d]),
        golden("and its shares", first.value_mix, [i / 8 for i in d]),
        defaults("arXiv:2305.13048 §3.1.2: 4 d", RWKVChannels, hidden=None, layer=0, depth=1),
        golden("4 d", mixing.key.weight.shape, (32, 8)),
        golden("key shares", mixing.key_mix, [(i / 8) ** early for i in d]),
        golden("receptance shares", mixing.receptance_mix, [(i / 8) ** early for i in d]),
        golden(
            "appendix E: W_v and W_r start at 0",
            [mixing.value.weight.abs().max(), mixing.receptance.weight.abs().max()],
            [0, 0],
        ),
        golden("orthogonal W_k", mixing.key.weight.T @ mixing.key.weight, torch.eye(8)),
    ]


def rwkv6() -> Golden:
    """RWKV-v5's x060, layer 1 of 3."""
    layer, d = RWKV6(8, heads=2, layer=1, depth=3), range(8)
    wide = RWKV6(64, heads=1)
    late, early = 1 / 2, 1 - 1 / 3
    ramp, half = [(i / 8) ** early for i in d], [(i / 8) ** (early / 2) for i in d]
    shares = [
        [1 - r for r in ramp],
        [1 - r for r in ramp],
        [1 - (r + 0.3 * late) for r in ramp],
        [1 - h for h in half],
        [1 - h for h in half],
    ]
    bonus = [late * (1 - i / 7) + 0.1 * ((i + 1) % 3 - 1) for i in d]
    squares = [(layer.receptance, 1.0), (layer.value, 1.0), (layer.key, 0.1), (layer.gate, 0.1)]
    return [
        defaults(
            "x060: ranks 32 and 64", RWKV6, heads=8, layer=0, depth=1, mix_rank=32, decay_rank=64
        ),
        golden("time_maa_x", layer.first_share, shares[0]),
        golden("time_maa_w, k, v, r, g", layer.shares, shares),
        golden(
            "-6 + 5 (h / (d - 1))^(0.7 + 1.3 l)",
            layer.decay,
            [-6 + 5 * (i / 7) ** (0.7 + 1.3 * late) for i in d],
        ),
        golden("time_faaaa", layer.bonus, [bonus[:4], bonus[4:]]),
        golden(
            "the first of each pair of maps is 0",
            [layer.share_down.abs().max(), layer.decay_down.abs().max()],
            [0, 0],
        ),
        golden(
            "five of rank 32, and rank 64",
            [*wide.share_down.shape, *wide.decay_down.shape],
            [64, 160, 64, 64],
        ),
        uniform("the second within 0.01", wide.share_up, -0.01, 0.01),
        uniform("and that of the decay", wide.decay_up, -0.01, 0.01),
        golden("ln_x: gain ((1 + l) / L)^0.7", layer.norm.gain, torch.full((8,), (2 / 3) ** 0.7)),
        golden("ln_x: eps 1e-5 * 8^2", layer.norm.epsilon, 64e-5),
        golden("W_o = 0", layer.output.weight.abs().max(), 0.0),
        *(
            golden(f"orthogonal by {gain}", m.weight @ m.weight.T, gain**2 * torch.eye(8))
            for m, gain in squares
        ),
    ]


def lru() -> Golden:
    """The ring [0.9, 0.999], the largest angle, gamma, and complex normal maps."""
    layer, wide = LRU(100, states=800), SLRU(100, states=800)
    size = torch.exp(-2 * layer.log_rate.exp())
    assert layer.log_angle is not None
    gain = (1 - size).sqrt()
    names = ("log_rate", "log_angle", "log_gain")
    return [
        defaults(
            "kexue.fm/archives/9554: [0.9, 0.999]",
            LRU,
            states=None,
            radii=(0.9, 0.999),
            largest_angle=math.pi / 10,
        ),
        defaults("and so the real one", SLRU, states=None, radii=(0.9, 0.999)),
        uniform("arXiv:2303.06349 lemma 3.2: |lambda|^2 uniform", size, 0.9**2, 0.999**2),
        uniform("angles up to pi / 10 (§3.4)", layer.log_angle.exp(), 0.0, math.pi / 10),
        golden("gamma = sqrt(1 - |lambda|^2) (eq. 7)", layer.log_gain.exp(), gain),
        normal("B of variance 1 / (2 d) for each part", layer.inward.weight, 200**-0.5),
        normal("C of variance 1 / N", layer.outward.weight, 800**-0.5),
        normal("real B of variance 1 / d", wide.inward.weight, 100**-0.5),
        normal("D", LRU(3000, states=1).skip, 1.0),
        golden("appendix: a quarter of the rate, no decay", _rules(layer, names, SLOW), 0.0),
        golden("no angle, no rule", _rules(wide, names[::2], SLOW), 0.0),
    ]


def s4() -> Golden:
    """N = 64, steps log-uniform on [1e-3, 1e-1], spectra, and C complex normal."""
    layer, other = S4D(800, states=4), S4(800, states=4)
    low, high, source = math.log(1e-3), math.log(1e-1), "arXiv:2111.00396 §B: [1e-3, 1e-1]"
    return [
        defaults(
            "arXiv:2206.11893 §5: N = 64",
            S4D,
            states=64,
            steps=(1e-3, 1e-1),
            spectrum=linear_spectrum,
        ),
        defaults("arXiv:2111.00396: N = 64", S4, states=64, steps=(1e-3, 1e-1)),
        uniform(source, layer.log_step, low, high),
        uniform(source, other.log_step, low, high),
        golden(
            "S4D-Lin: -1/2 + i pi n",
            [*layer.log_rate.exp()[0], *layer.frequency[0]],
            [0.5, 0.5, 0, math.pi],
        ),
        golden("S4D-Inv, N = 4", inverse_spectrum(2), [3.819718634205488, 0.4244131815783876]),
        normal("C of variance 1 in all", layer.out, 0.5**0.5),
        normal("D", layer.skip, 1.0),
        golden(
            "HiPPO-LegS, N = 2: eigenvalues of [[-1, 0], [-sqrt 3, -2]] + P P^T",
            other.log_rate.exp()[0],
            [0.5, 0.5],
        ),
        golden(
            "S4D: slow, no decay", _rules(layer, ("log_step", "log_rate", "frequency"), SLOW), 0.0
        ),
        golden(
            "S4: slow, no decay",
            _rules(other, ("log_step", "log_rate", "frequency", "rank", "write"), SLOW),
            0.0,
        ),
    ]


def memories() -> Golden:
    """Coefficients and windows; torch's cells as wide as a token; filters as torch's Conv1d."""
    wide = ShortConvolution(2000, 4)
    assert wide.bias is not None
    return [
        defaults("N = 16", HippoLegS, states=16),
        defaults("N = 16", HippoLegT, states=16, window=64.0),
        defaults("N = 15", HippoFourier, states=15, window=64.0),
        defaults("as wide as a token", RNN, states=None),
        golden("hidden units", RNN(6).network.hidden_size, 6),
        uniform("torch.nn.Conv1d: U(-1/sqrt 4, 1/sqrt 4)", wide.weight, -0.5, 0.5),
        uniform("and its bias", wide.bias, -0.5, 0.5),
        golden("RMSNorm: arXiv:1910.07467's code, 1e-6", EPSILON, 1e-6),
    ]


_NAMES: dict[str, Callable[[], Golden]] = {
    "mamba": mamba,
    "mamba2": mamba2,
    "rwkv4": rwkv4,
    "rwkv6": rwkv6,
    "lru": lru,
    "s4": s4,
    "memories": memories,
}

LAWS = [constants(f"mixers/{name}", cases) for name, cases in _NAMES.items()]

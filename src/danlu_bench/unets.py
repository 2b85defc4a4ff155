"""Three U-Nets of one size, ready to train and to sample with: danlu's and two independent ones.

All see images of one channel and 32x32 pixels, have as many parameters and attend at 8x8. Each
learns by its library's own loss and is sampled by its library's own DDIM with 50 evaluations:
danlu the velocity of the straight path, diffusers v over the linear table, and
denoising-diffusion-pytorch as it comes, v over a sigmoid table.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from danlu.contracts import Batch, DataDescription, DataKind, Progress
from danlu.generative.diffusion import ddpm
from danlu_bench.peers import peer, peer_alone

SIDE, CHANNELS, CHAIN, EVALUATIONS = 32, 1, 1000, 50
IMAGES = DataDescription(
    kind=DataKind.IMAGE, shape=(CHANNELS, SIDE, SIDE), levels=256, low=-1.0, high=1.0
)

PARTS = "path=linear,prediction=velocity,times=logit-normal,weighting=unit"
"""The loss of danlu's network, as a rectified flow has it."""

Images = Float[Tensor, "batch channels height width"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """How the hardware is used.

    Attributes:
        bfloat16: whether forward passes run under autocast.
        channels_last: memory order of images and convolutions.
        compiled: whether the network goes through `torch.compile`.
    """

    bfloat16: bool = False
    channels_last: bool = False
    compiled: bool = False

    @property
    def name(self) -> str:
        """In words."""
        words = [
            "bfloat16" if self.bfloat16 else "float32",
            "channels last" if self.channels_last else "",
            "compiled" if self.compiled else "",
        ]
        return ", ".join(word for word in words if word)

    def in_graphs(self) -> "Setting":
        """The same, compiled."""
        return replace(self, compiled=True)

    def precision(self) -> AbstractContextManager:
        """The context of a forward pass."""
        return torch.autocast("cpu", torch.bfloat16) if self.bfloat16 else nullcontext()

    def place(self, network: nn.Module) -> None:
        """Bring a network into the memory order, compiled where it shall be."""
        if self.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.compiled:
            network.compile()

    def order(self, x: Images) -> Images:
        """Images in the memory order."""
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last else x


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """A network with its library's loss and sampler.

    Attributes:
        network: what is trained.
        loss: of images on [-1, 1].
        sample: draws so many images on [-1, 1] with the noise of torch's generator.
        forward: one evaluation for noisy images, at any one noise level.
    """

    network: nn.Module
    loss: Callable[[Images], Tensor]
    sample: Callable[[int], Images]
    forward: Callable[[Images], Images]

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self.network.parameters() if p.requires_grad)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """Widths by which the networks have as many parameters."""

    danlu: int = 64
    diffusers: tuple[int, ...] = (32, 64, 96)
    phil_wang: int = 32


def model_of(width: int) -> ddpm.DDPM:
    """A denoiser of this library on the straight path, its images folded by 2."""
    sizes = {"width": width, "levels": 2, "blocks": 1, "patch": 2, "features": 5 * width}
    return ddpm.build(IMAGES, **sizes, parts=PARTS)


def danlu(width: int) -> Contender:
    """This library's network, loss and DDIM."""
    model = model_of(width)
    options = model.Options(solver="ddim", grid="linspace", evaluations=EVALUATIONS)

    def loss(x: Images) -> Tensor:
        return model.loss(Batch(x, None, torch.arange(len(x))), "model", Progress(0, 0.5, 0)).total

    return Contender(
        network=model.network,
        loss=loss,
        sample=lambda n: model.sample(n, seed=int(torch.randint(2**31, ())), options=options),
        forward=lambda x: model.value(x, x.new_full((len(x),), 0.5), None),
    )


def diffusers(widths: tuple[int, ...]) -> Contender:
    """UNet2DModel of diffusers with the loop of its training example, on v, and its DDIM."""
    package: Any = peer("diffusers")
    lower = len(widths) - 1
    network = package.UNet2DModel(
        sample_size=SIDE,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        block_out_channels=widths,
        down_block_types=(*("DownBlock2D",) * lower, "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", *("UpBlock2D",) * lower),
    )
    chain = {"num_train_timesteps": CHAIN, "prediction_type": "v_prediction"}
    noising, scheduler = package.DDPMScheduler(**chain), package.DDIMScheduler(**chain)

    def loss(x: Images) -> Tensor:
        noise, t = torch.randn_like(x), torch.randint(CHAIN, (len(x),))
        value = network(noising.add_noise(x, noise, t), t).sample
        return mse_loss(value, noising.get_velocity(x, noise, t))

    @torch.no_grad()
    def sample(n: int) -> Images:
        scheduler.set_timesteps(EVALUATIONS)
        x = torch.randn(n, CHANNELS, SIDE, SIDE)
        for t in scheduler.timesteps:
            x = scheduler.step(network(x, t).sample, t, x).prev_sample
        return x

    return Contender(
        network=network, loss=loss, sample=sample, forward=lambda x: network(x, CHAIN // 2).sample
    )


def phil_wang(width: int) -> Contender:
    """The Unet of denoising-diffusion-pytorch, with linear attention at finer levels; its DDIM."""
    absent: Mapping[str, Mapping[str, Any]] = {
        "accelerate": {"Accelerator": None},
        "ema_pytorch": {"EMA": None},
        "torchvision": {"transforms": None, "utils": None},
    }
    name = "denoising_diffusion_pytorch.denoising_diffusion_pytorch"
    package: Any = peer_alone(name, absent)
    package.tqdm = lambda pairs, **_: pairs  # no progress bar
    network = package.Unet(width, dim_mults=(1, 2, 4), channels=CHANNELS)
    diffusion = package.GaussianDiffusion(
        network, image_size=SIDE, timesteps=CHAIN, sampling_timesteps=EVALUATIONS
    )
    middle = CHAIN // 2
    return Contender(
        network=network,
        loss=lambda x: diffusion((x + 1) / 2),
        sample=lambda n: 2 * diffusion.sample(batch_size=n) - 1,
        forward=lambda x: network(x, torch.full((len(x),), middle)),
    )


def builders(sizes: Sizes) -> dict[str, Callable[[], Contender]]:
    """Name -> how to make one."""
    return {
        "danlu": lambda: danlu(sizes.danlu),
        "diffusers": lambda: diffusers(sizes.diffusers),
        "denoising-diffusion-pytorch": lambda: phil_wang(sizes.phil_wang),
    }

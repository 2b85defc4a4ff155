"""How a two-stage model is put together: a prior by name, its stages, and codes of the data."""

from dataclasses import replace
from inspect import signature
from typing import Any

import torch

from danlu.contracts import DataDescription, Player, Stage, Stream, unknown
from danlu.contracts.stage import Prepare
from danlu.generative.base import GenerativeModel

ENCODE_BATCH = 256


def prior_of(family: str, code: DataDescription, **sizes: Any) -> GenerativeModel:
    """A family by name as a prior over codes; of the sizes it takes those that it knows.

    Raises:
        DanluError: nobody knows the family.
    """
    from danlu.generative import FAMILIES  # which has the two-stage models themselves

    if family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    build = FAMILIES[family].build
    known = signature(build).parameters
    return build(code, **{name: value for name, value in sizes.items() if name in known})


@torch.no_grad()
def encode_data(model: Any, stream: Stream) -> Stream:
    """The stream of codes of the data, drawn once for each example."""
    codes = []
    for batch in stream.once(ENCODE_BATCH):
        batch = batch.to(model.device, model.dtype)
        # The first index seeds the batch, so that no two batches share their noise.
        codes.append(model.code(batch, seed=int(batch.index[0])).cpu())
    return stream.replaced(torch.cat(codes), model.prior.description)


def prepare_first(inner: Prepare | None) -> Prepare | None:
    """What the first model itself prepares, as a stage of the whole asks for it."""
    return None if inner is None else lambda model, stream: inner(model.first, stream)


def prepare_prior(inner: Prepare | None) -> Prepare:
    """Codes of the data, from which the prior starts and then prepares its own."""

    def prepare(model: Any, stream: Stream) -> Stream:
        codes = encode_data(model, stream)
        model.start_prior(codes)
        return codes if inner is None else inner(model.prior, codes)

    return prepare


def within(side: str, stage: Stage, share: float, prepare: Prepare | None) -> Stage:
    """A stage of a part, as a stage of the whole."""
    plays = tuple(Player(f"{side}.{play.name}", play.times) for play in stage.plays)
    name, share = f"{side}.{stage.name}", share * stage.share
    return replace(stage, name=name, share=share, plays=plays, prepare=prepare)

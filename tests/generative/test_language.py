"""Language models beside their laws: what trains, what is refused, what changes after a step."""

from itertools import pairwise

import pytest
import torch

from danlu.backbones.named import fitting
from danlu.contracts import Batch, CapabilityError, DanluError, DataDescription, DataKind, Progress
from danlu.generative.autoregressive.language import LanguageOptions, build
from danlu.generative.masked.masked import build as build_masked

TEXT = DataDescription(
    kind=DataKind.TEXT, shape=(10,), levels=4, low=0.0, high=3.0, alphabet="abcd"
)


def batch(n=3):
    generator = torch.Generator().manual_seed(0)
    return Batch(torch.randint(4, (n, 10), generator=generator), None, torch.arange(n))


def train_step(model, step=0):
    model.train()
    losses = model.loss(batch(), "model", Progress(step=step, fraction=0.0, seed=0))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses.total.backward()
    optimizer.step()
    optimizer.zero_grad()
    model.after_step("model", Progress(step=step, fraction=0.0, seed=0))
    return losses


@pytest.mark.parametrize("mixer", fitting(causal=True))
def test_every_causal_mixer_learns(mixer):
    model = build(TEXT, mixer=mixer, dim=8, depth=1, heads=2)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    assert train_step(model).total.isfinite()
    moved = [name for name, p in model.named_parameters() if not torch.equal(p, before[name])]
    assert {"tokens.weight", "logits.weight"} <= set(moved)
    assert any(name.startswith("stack.layers.0.") for name in moved)
    again = model.loss(batch(), "model", Progress(step=1, fraction=0.0, seed=0))
    assert again.total.isfinite()


@pytest.mark.parametrize("mixer", fitting(causal=False))
def test_every_two_sided_mixer_learns_behind_masks(mixer):
    model = build_masked(TEXT, mixer=mixer, dim=8, depth=1, heads=2)
    losses = train_step(model)
    assert list(losses.parts) == ["nats_per_masked_token"]
    assert losses.total.isfinite()


def test_random_features_are_drawn_anew_after_every_second_step():
    model = build(TEXT, mixer="performer", dim=8, depth=2, heads=2, parts="redraw_every=2")
    seen = [[layer.projection.clone() for layer in model.stack.layers[::2]]]
    for step in range(4):
        train_step(model, step)
        seen.append([layer.projection.clone() for layer in model.stack.layers[::2]])
    for layer in (0, 1):
        changed = [not torch.equal(a[layer], b[layer]) for a, b in pairwise(seen)]
        assert changed == [False, True, False, True]


def test_a_codebook_follows_its_keys_and_adds_a_commitment():
    model = build(TEXT, mixer="transformer-vq", dim=8, depth=1, heads=2, parts="codes=5,size=4")
    before = model.stack.layers[0].codebook.vectors.clone()
    losses = train_step(model)
    assert set(losses.parts) == {"nats_per_token", "commitment"}
    assert not torch.equal(model.stack.layers[0].codebook.vectors, before)


def test_parts_reach_norms_and_mixers():
    model = build(TEXT, dim=8, heads=2, parts="norm=layer,window=3,feed_forward=none")
    assert [layer.window for layer in model.stack.layers] == [3, 3]
    assert type(model.stack.final).__name__ == "LayerNorm"
    hybrid = build(TEXT, mixer="mamba2+softmax", dim=8, depth=3, heads=2, parts="feed_forward=none")
    assert [type(layer).__name__ for layer in hybrid.stack.layers] == [
        "Mamba2",
        "Softmax",
        "Mamba2",
    ]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"mixer": "fnet"}, "fnet sees the tokens to come; this model needs one of: softmax"),
        ({"mixer": "sofmax"}, "did you mean 'softmax'"),
        ({"mixer": "cross-attention"}, "reads another sequence"),
        ({"position": "rop"}, "did you mean 'rope'"),
        ({"position": "m-rope"}, "m-rope is not for tokens in a row"),
        ({"mixer": "mamba", "position": "rope"}, "mamba has no place for rope"),
        ({"mixer": "mamba2+softmax"}, "add feed_forward=none"),
        ({"parts": "windw=3"}, "did you mean 'window'"),
        ({"parts": "norm=rmss"}, "did you mean 'rms'"),
        ({"parts": "window"}, "Parts read part=value"),
        ({"dim": 9}, "2 heads do not divide a width of 9"),
        ({"depth": 0}, "depth must be at least 1"),
    ],
)
def test_what_does_not_go_together_is_refused(settings, reason):
    with pytest.raises(DanluError, match=reason) as caught:
        build(TEXT, **{"dim": 8, "heads": 2, **settings})
    assert "\n" not in str(caught.value)


def test_a_masked_model_needs_both_sides():
    with pytest.raises(DanluError, match=r"mamba sees the past alone; .*bidirectional"):
        build_masked(TEXT, mixer="mamba")


def test_a_masked_model_has_vectors_and_no_likelihood():
    model = build_masked(TEXT, dim=8, heads=2).eval()
    assert model.encode(batch().x).shape == (3, 10, 8)
    for use in (lambda: model.sample(1), lambda: model.log_prob(batch().x.float())):
        with pytest.raises(CapabilityError, match="lm"):
            use()


def test_blanks_are_filled_and_the_rest_stays():
    model = build_masked(TEXT, dim=8, heads=2).eval()
    filled = model.fill("ab_d__a")
    assert len(filled) == 7
    assert set(filled) <= set("abcd")
    assert (filled[:2], filled[3], filled[6]) == ("ab", "d", "a")


def test_the_prompt_stays_and_rows_do_not_depend_on_their_batch():
    model = build(TEXT, dim=8, heads=2).eval()
    options = LanguageOptions(prompt="dcba", length=30)
    rows = model.sample(4, seed=3, options=options)
    assert rows.shape == (4, 34)
    assert rows[:, :4].tolist() == [[3, 2, 1, 0]] * 4
    assert torch.equal(rows, model.sample(4, seed=3, options=options, batch=1))
    with pytest.raises(DanluError, match="has no 'e'"):
        model.sample(1, options=LanguageOptions(prompt="cafe"))


def test_what_sorts_its_tokens_has_no_exact_likelihood():
    kinds = {name: build(TEXT, mixer=name, dim=8, heads=2).eval() for name in ("reformer", "lru")}
    bounds = {name: model.log_prob(batch().x.float()).bound for name, model in kinds.items()}
    assert bounds == {"reformer": "none", "lru": "exact"}

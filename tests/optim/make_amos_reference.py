"""Makes amos_reference.json: end points of the published JAX implementation of Amos, in float64.

Fifty steps on a tanh regression with two tensors, in every combination of the shape of the state,
`extra_l2` and momentum, and once with a value clip. Run where `jax`, `optax`, `flax` and (without
its dependencies) `jestimator` 0.3.3 are installed:

    python tests/optim/make_amos_reference.py
"""

import importlib.util
import json
import sys
from itertools import product
from pathlib import Path

import jax
import numpy as np
import optax

STEPS, RATE, BETA = 50, 0.02, 0.98
ETA = {"weight": 0.6, "bias": 0.5}
SHAPES = {
    "scalar": lambda shape: (1,) * len(shape),
    "rows": lambda shape: (shape[0], 1) if len(shape) == 2 else (1,),
    "full": lambda shape: shape,
}


def published():
    """The module alone: the package around it needs an older jax."""
    folder = importlib.util.find_spec("jestimator").submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location("amos", Path(folder) / "amos.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.amos


def loss(parameters, x, y):
    return ((jax.numpy.tanh(x @ parameters["weight"].T + parameters["bias"]) - y) ** 2).mean()


def end_point(problem, moments, extra_l2, momentum, clip):
    optimizer = published()(
        RATE,
        lambda name, shape: ETA[name[0]],
        lambda name, shape: SHAPES[moments](shape),
        beta=BETA,
        extra_l2=extra_l2,
        momentum=momentum,
        clip_value=clip,
    )
    parameters = {name: jax.numpy.asarray(problem[name]) for name in ETA}
    state = optimizer.init(parameters)
    gradient = jax.grad(loss)
    for _ in range(STEPS):
        slope = gradient(parameters, problem["x"], problem["y"])
        change, state = optimizer.update(slope, state, parameters)
        parameters = optax.apply_updates(parameters, change)
    return {name: np.asarray(value).tolist() for name, value in parameters.items()}


def main():
    jax.config.update("jax_enable_x64", True)
    random = np.random.default_rng(0)
    problem = {
        "weight": random.normal(size=(4, 3)).round(3),
        "bias": random.normal(size=4).round(3),
        "x": random.normal(size=(10, 3)).round(3),
        "y": np.tanh(random.normal(size=(10, 4))).round(3),
    }
    plain = [(*row, None) for row in product(SHAPES, (0.0, 0.01), (0.0, 0.9))]
    rows = [
        {
            "moments": moments,
            "extra_l2": extra_l2,
            "momentum": momentum,
            "clip": clip,
            "end": end_point(problem, moments, extra_l2, momentum, clip),
        }
        for moments, extra_l2, momentum, clip in [*plain, ("rows", 0.0, 0.0, 0.01)]
    ]
    record = {
        "made_with": {"jax": jax.__version__, "optax": optax.__version__, "jestimator": "0.3.3"},
        "steps": STEPS,
        "rate": RATE,
        "beta": BETA,
        "eta": ETA,
        "problem": {name: value.tolist() for name, value in problem.items()},
        "cases": rows,
    }
    path = Path(__file__).with_name("amos_reference.json")
    path.write_text(json.dumps(record, indent=None, separators=(",", ":")) + "\n")
    sys.stdout.write(f"{path}: {len(rows)} cases\n")


if __name__ == "__main__":
    main()

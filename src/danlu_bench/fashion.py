"""A rectified flow on Fashion-MNIST: five minutes of training, three seeds, the test split.

Each run is what `danlu train rectified-flow fashion-mnist --minutes 5 --seed S` and `danlu eval`
make; after an interruption the same command goes on. The figure is the Fréchet distance of 1,000
guided samples from the 10,000 test images, as a share of that of the same test images with
Gaussian noise of 0.1 (pixels in [0, 1], clipped), and the share of samples that the classifier
puts into the class they were asked to be. Recipe, guidance and classifier were fixed on the
validation split.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from danlu.data import Source
from danlu.evaluation.features.classifier import accuracy_of, classifier_space
from danlu.evaluation.results import Results, RowKind
from danlu.measuring.evaluate import EvaluationRequest, evaluate
from danlu.runs.config import RunConfig, resolve
from danlu.runs.folders import RESULTS
from danlu.runs.train import choose_data, open_data, train
from danlu.training import Budget
from danlu_bench.sample_rows import begun

SEEDS = (3, 4, 5)
MINUTES = 5.0
SAMPLES = 1000
FOLDER = Path("runs/fashion-mnist")
MOST_DISTANCE, LEAST_AGREEMENT, LEAST_ACCURACY = 0.25, 0.93, 0.915


def run(report: Callable[[str], None], *, minutes: float = MINUTES) -> dict[str, Any]:
    """Train, sample and measure; `holds` says whether the medians keep the promises above."""
    data = choose_data("fashion-mnist")
    source = open_data(data)
    space = classifier_space(source)
    accuracy = accuracy_of(space, source.test)
    assert accuracy is not None
    report(
        f"classifier {space.hash}: validation {space.accuracy:.2%}, test {accuracy:.2%}, "
        + (f"trained in {space.seconds:.0f} s" if space.seconds else "trained before")
    )
    rows = []
    for seed in SEEDS:
        config = resolve("rectified-flow", source, data, Budget(minutes=minutes), seed=seed)
        results = _measured(config, source, report)
        rows.append({"seed": seed, **_figures(results)})
        report(_line(rows[-1]))
    distance = median(row["distance"] for row in rows)
    agreement = median(row["agreement"] for row in rows)
    report(f"median of {len(rows)} seeds: distance {distance:.3f}, agreement {agreement:.1%}")
    return {
        "accuracy": accuracy,
        "rows": rows,
        "distance": distance,
        "agreement": agreement,
        "holds": distance <= MOST_DISTANCE
        and agreement >= LEAST_AGREEMENT
        and accuracy >= LEAST_ACCURACY,
    }


def _measured(config: RunConfig, source: Source, report: Callable[[str], None]) -> Results:
    """The results of a seed: as they are kept, or after the training that is still to be done.

    Raises:
        DanluError: the folder holds a run of other settings.
        KeyboardInterrupt: training was interrupted; the benchmark goes on from its checkpoint.
    """
    folder = FOLDER / f"seed-{config.seed}"
    made = begun(folder, config)
    if (folder / RESULTS).exists():
        report(f"seed {config.seed}: kept from before; remove {folder} to measure it again")
        return Results.load(folder / RESULTS)
    if train(made, source).interrupted:
        raise KeyboardInterrupt("interrupted; to go on: `danlu bench fashion-mnist`.")
    return evaluate(made, EvaluationRequest(n=SAMPLES, command="danlu bench fashion-mnist"))


def _figures(results: Results) -> dict[str, float]:
    def frechet(kind: RowKind, word: str = "") -> float:
        row = next(row for row in results.rows if row.kind is kind and word in row.name)
        return row.metrics["frechet@classifier"].value

    model = next(row for row in results.rows if row.kind is RowKind.MODEL)
    noisy = frechet(RowKind.CORRUPTION, "noisy")
    return {
        "images": model.examples or 0,
        "seconds": model.train_seconds or 0.0,
        "frechet": frechet(RowKind.MODEL),
        "noisy": noisy,
        "floor": frechet(RowKind.FLOOR),
        "distance": frechet(RowKind.MODEL) / noisy,
        "agreement": model.metrics["class-agreement"].value,
        "sampling": model.sample_seconds or 0.0,
        "evaluation": sum(used for _, used in results.split.values()),
    }


def _line(row: dict[str, float]) -> str:
    return (
        f"seed {row['seed']}: {row['images']:,} images in {row['seconds']:.0f} s; Fréchet "
        f"{row['frechet']:.2f}, noisy {row['noisy']:.2f}, floor {row['floor']:.2f}; distance "
        f"{row['distance']:.3f}, agreement {row['agreement']:.1%}; "
        f"sampling {row['sampling']:.0f} of {row['evaluation']:.0f} s of evaluation"
    )

"""Word vectors from text files: fit them, ask them, judge them, and classify texts with them."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from danlu.cli.console import Lasting, console_for, duration, say, write_json
from danlu.cli.parser import Parser, UsageError, add_json, finite, whole

if TYPE_CHECKING:
    from danlu.embeddings import WordVectors

HELP = "word vectors: fit, neighbours, analogy, eval, classify"
EXAMPLES = (
    "danlu words fit corpus/*.txt --out runs/words",
    "danlu words fit brown --reader brown --method skip-gram --set epochs=10 --out runs/sgns",
    "danlu words fit book.txt --format word2vec-binary --out vectors.bin",
    "danlu words neighbours runs/words money",
    "danlu words analogy runs/words man king woman",
    "danlu words eval runs/words --pairs ratings.tsv",
    "danlu words classify reviews.tsv --vectors runs/words",
)


def arguments(parser: Parser) -> None:
    """The verb's arguments."""
    actions = parser.add_subparsers(
        metavar="ACTION", title="actions", required=True, parser_class=Parser
    )
    _fit_arguments(_action(actions, "fit", _fit, "learn vectors from text files"))
    neighbours = _action(actions, "neighbours", _neighbours, "the words nearest to a word")
    neighbours.add_argument("word")
    _add_n(neighbours)
    analogy = _action(actions, "analogy", _analogy, "what is to C as B is to A")
    for name in "abc":
        analogy.add_argument(name, metavar=name.upper())
    _add_n(analogy)
    judge = _action(actions, "eval", _eval, "compare with people's judgements")
    judge.add_argument("--pairs", metavar="FILE", help="two words and a rating on each line")
    judge.add_argument("--questions", metavar="FILE", help="four words on each line: a b c d")
    classify = _action(actions, "classify", _classify, "train and test a classifier of texts")
    classify.add_argument("--vectors", metavar="VECTORS", help="word vectors to average")
    classify.add_argument("--classifier", metavar="NAME", help="only this one (default: all)")
    classify.add_argument("--held-out", type=finite, default=0.1, metavar="SHARE")
    classify.add_argument("--seed", type=whole, default=0, help="of the split (default 0)")


def _action(actions: Any, name: str, run: Callable[..., int], text: str) -> Parser:
    parser = actions.add_parser(name, help=text, description=f"{text[:1].upper()}{text[1:]}.")
    if name == "fit":
        parser.add_argument("files", nargs="+", metavar="FILE", help="text files or folders")
    elif name == "classify":
        parser.add_argument("file", metavar="FILE", help="`label<TAB>text` on each line")
    else:
        parser.add_argument("vectors", metavar="VECTORS", help="a folder, or a word2vec file")
    add_json(parser)
    parser.set_defaults(action=run)
    return parser


def _add_n(parser: Parser) -> None:
    parser.add_argument("--n", type=whole, default=10, help="how many answers (default 10)")


def _fit_arguments(parser: Parser) -> None:
    parser.add_argument("--out", required=True, metavar="PATH", help="a folder, or a word2vec file")
    parser.add_argument("--method", default="svd-ppmi", help="see `danlu list word-vectors`")
    parser.add_argument(
        "--reader", default="words", help="words (default), spaces, characters, segmented, or brown"
    )
    parser.add_argument(
        "--min-count", type=whole, default=5, metavar="N", help="leave rarer words out"
    )
    parser.add_argument(
        "--format", default="danlu", help="danlu (default), word2vec, or word2vec-binary"
    )
    parser.add_argument("--processes", type=whole, default=1, metavar="N", help="counting at once")
    parser.add_argument("--memory", type=finite, default=2.0, metavar="GB", help="for counts")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="FIELD=VALUE",
        help="change a setting of the method, such as dim, window, epochs or seed; repeatable",
    )


def run(options: argparse.Namespace) -> int:
    """Do what was asked."""
    return options.action(options)


def _fit(options: argparse.Namespace) -> int:
    from time import perf_counter

    from danlu.applications.words.fitting import FitRequest, fit
    from danlu.embeddings.saving import require_writable, save_vectors

    out, console = Path(options.out), console_for(options.json, Lasting)
    require_writable(out, form=options.format)
    settings = dict(item.partition("=")[::2] for item in options.settings)
    request = FitRequest(
        files=tuple(options.files),
        method=options.method,
        settings=settings,
        reader=options.reader,
        min_count=options.min_count,
        processes=options.processes,
        memory=int(options.memory * 2**30),
    )
    began = perf_counter()
    vectors = fit(request, lambda line: say(console, line))
    seconds = perf_counter() - began
    save_vectors(vectors, out, form=options.format)
    say(console, f"{len(vectors):,} vectors of {vectors.dim} numbers, {duration(seconds)}: {out}")
    if options.json:
        facts = {"words": len(vectors), "dim": vectors.dim, "seconds": seconds, "out": str(out)}
        write_json(facts)
    return 0


def _vectors(options: argparse.Namespace) -> "WordVectors":
    from danlu.embeddings import load_vectors

    vectors = load_vectors(Path(options.vectors))
    for line in vectors.notices:
        say(console_for(options.json), line)
    return vectors


def _neighbours(options: argparse.Namespace) -> int:
    vectors = _vectors(options)
    return _answer(vectors.neighbours(options.word, _positive(options.n)), options)


def _analogy(options: argparse.Namespace) -> int:
    vectors = _vectors(options)
    found = vectors.analogy(options.a, options.b, options.c, _positive(options.n))
    return _answer(found, options)


def _positive(n: int) -> int:
    if n < 1:
        raise UsageError(f"--n must be at least 1, got {n}.")
    return n


def _answer(found: list[tuple[str, float]], options: argparse.Namespace) -> int:
    if options.json:
        write_json([{"word": word, "cosine": cosine} for word, cosine in found])
        return 0
    for word, cosine in found:
        say(console_for(False), f"{cosine:6.3f}  {word}")
    return 0


def _eval(options: argparse.Namespace) -> int:
    from danlu.applications.words.scoring import scores

    def path(text: str | None) -> Path | None:
        return None if text is None else Path(text)

    vectors = _vectors(options)
    found = scores(vectors, pairs=path(options.pairs), questions=path(options.questions))
    if options.json:
        write_json(
            {
                name: {"value": score.value, "covered": score.covered, "total": score.total}
                for name, score in found.items()
            }
        )
        return 0
    for name, score in found.items():
        covered = f"{score.covered} of {score.total} covered"
        say(console_for(False), f"{name}: {score.value:.3f} ({covered})")
    return 0


def _classify(options: argparse.Namespace) -> int:
    from danlu.applications.words.classification import CLASSIFIERS, accuracy, read_labelled

    if not 0 < options.held_out < 1:
        raise UsageError(f"--held-out is a share between 0 and 1, got {options.held_out}.")
    labelled = read_labelled(Path(options.file))
    train, test = labelled.split(held_out=options.held_out, seed=options.seed)
    vectors = _vectors(options) if options.vectors else None
    skipped = () if vectors is not None else ("averaged",)
    names = [options.classifier] if options.classifier else [*CLASSIFIERS]
    console = console_for(options.json)
    say(console, f"{len(train.texts)} texts to learn from, {len(test.texts)} held out")
    found = {}
    for name in names:
        if name in skipped and options.classifier is None:
            say(console, f"{name}: left out, it needs --vectors")
            continue
        found[name] = accuracy(name, train, test, vectors)
        say(console, f"{name}: {found[name]:.1%} right")
    if options.json:
        write_json({"train": len(train.texts), "test": len(test.texts), "accuracy": found})
    return 0

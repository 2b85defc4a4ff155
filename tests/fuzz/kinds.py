"""What is thrown, and what it is thrown at; see `fuzz.py`.

A trial ends well, or in an error that `danlu.cli.failures.foreseen` knows. Anything else raises.
"""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from PIL import Image

from danlu.cli.failures import foreseen
from danlu.cli.main import VERBS, main

CODES = (0, 1, 2, 130)
SECONDS = 60
"""A single input may take that long."""


class Kind(NamedTuple):
    """Inputs, what is done with one, and how many a whole run has."""

    strategy: SearchStrategy
    trial: Callable[["Ground", Any], None]
    number: int


class Ground:
    """A folder with small runs and data to spoil."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = folder
        os.chdir(folder)
        os.environ["DANLU_CACHE"] = str(folder / "cache")
        torch.set_num_threads(1)
        warnings.simplefilter("ignore")
        self.data()
        if kind in ("command lines", "starts", "more starts", "run folders"):
            self.runs()

    def data(self) -> None:
        """A file of each format that is read."""
        random = np.random.default_rng(0)
        pixels = random.integers(0, 256, (30, 8, 8), dtype=np.uint8)
        np.savez("images.npz", x=pixels, y=np.arange(30) % 3)
        np.savez_compressed("points.npz", x=random.normal(size=(40, 2)).astype(np.float32))
        np.save("array.npy", random.normal(size=(30, 3)))
        header = np.array([0x0803, 30, 8, 8], dtype=">u4").tobytes()
        Path("images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        for ending in ("png", "jpg", "gif", "tiff", "bmp", "webp"):
            Image.fromarray(pixels[0]).convert("RGB").save(f"one.{ending}")
        Path("text.txt").write_text("one two three four five six seven\n" * 20)
        Path("labelled.tsv").write_text("good\tone two three\nbad\tfour five six\n" * 20)
        Path("pairs.tsv").write_text("one\ttwo\t3.5\ntwo\tthree\t1\none\tthree\t7\n")
        fit = ["words", "fit", "text.txt", "--min-count", "1", "--set", "dim=3", "--out"]
        require([*fit, "words"])
        require([*fit, "words.txt", "--format", "word2vec"])
        require([*fit, "words.bin", "--format", "word2vec-binary"])

    def runs(self) -> None:
        """A run of points, one of text, and a race."""
        tiny = ["--set", "model.width=8", "--set", "train.batch=8"]
        require(["train", "vae", "two-moons", "--steps", "2", "--out", "run", *tiny])
        text = ["--size", "8", "--set", "model.dim=8", "--set", "model.depth=1"]
        require(["train", "lm", "--data", "text.txt", "--steps", "2", "--out", "lm", *text])
        race = ["race", "two-moons", "--families", "vae", "--examples", "64", "--out", "race"]
        require([*race, "--set", "model.width=8", "--set", "train.batch=32"])


def require(arguments: list[str]) -> None:
    """Run what must work."""
    code, out, err = ended(arguments, 0)
    assert code == 0, (arguments, out, err)


def ended(arguments: list[str], seconds: int = SECONDS) -> tuple[int, str, str]:
    """A command line in this process: code and output; it may not take longer than that."""

    def late(number: int, frame: object) -> None:
        raise AssertionError(f"{arguments} takes more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(arguments)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return code, out.getvalue(), err.getvalue()


def sound(arguments: list[str]) -> None:
    """A command line ends with a known code, and in one line where that is not 0."""
    code, out, err = ended(arguments)
    assert code in CODES, (arguments, code, err)
    story = next((line for line in err.splitlines() if "a mistake in danlu itself" in line), "")
    if story:
        path = Path(story.rpartition(" is in ")[2].rstrip("."))
        raise AssertionError(f"{arguments}: {story}\n{path.read_text() if path.exists() else ''}")
    assert "Traceback" not in out + err, (arguments, err)
    if code == 2:
        assert err.splitlines()[-1].startswith("danlu: "), (arguments, err)


def foretold(call: Callable[[], Any]) -> None:
    """A call of the library ends well, or in an error that is foreseen."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            call()
    except Exception as error:
        if foreseen(error) is None:
            raise


# --- values ---------------------------------------------------------------------------------------

SPELLED = (
    "0 -1 1e999 nan inf -inf 1e38 1e-320 9223372036854775808 18446744073709551616 9e18 1e308 None "
    "null true [] {} () '' \" $HOME ~ ~nosuchuser ~root . .. / /dev/null /dev/full /proc/self/mem "
    "a=b = == :heart: [red] [/] %s %n {0} json:dumps os:system math:floor danlu:nothing : a:b "
    "run lm race words words.txt words.bin images.npz points.npz array.npy one.png text.txt "
    "labelled.tsv cache --help --json -n --"
)
ODD = st.sampled_from(SPELLED.split())
WORDS = st.one_of(ODD, st.text(st.characters(exclude_characters="\0"), max_size=8))
SMALL = st.integers(-3, 40).map(str)
NUMBERS = st.one_of(SMALL, ODD, st.floats().map(str))
NAMED = "vae gan flow vq ddpm rectified-flow lm mlm ffjord latent-flow kernel-density wgan"
FAMILIES = st.sampled_from(NAMED.split())
ROOMS = st.sampled_from(["model", "optimizer", "train", "sampler", "data"])
SET = (
    "width depth dim batch rate warmup beta levels codes heads mixer position solver evaluations "
    "guidance name schedule micro_batches max_grad_norm average flips unit temperature top_p "
    "length prompt steps share parts pairs blocks layers"
)
FIELDS = st.sampled_from(SET.split())
SETTING = st.builds("{}.{}={}".format, ROOMS, FIELDS, st.one_of(SMALL, NUMBERS, WORDS))


def _flags(*names: str) -> SearchStrategy[list[str]]:
    flag = st.sampled_from(names)
    value = st.one_of(NUMBERS, WORDS, FAMILIES)
    one = st.one_of(
        st.tuples(flag, value).map(list),
        flag.map(lambda name: [name]),
        st.tuples(st.just("--set"), SETTING).map(list),
        value.map(lambda word: [word]),
    )
    return st.lists(one, max_size=3).map(lambda parts: [word for part in parts for word in part])


def _line(*head: Any, flags: tuple[str, ...] = ()) -> SearchStrategy[list[str]]:
    parts = [each if isinstance(each, SearchStrategy) else st.just(each) for each in head]
    return st.tuples(st.tuples(*parts).map(list), _flags("--json", *flags)).map(
        lambda pair: pair[0] + pair[1]
    )


SHORT = ("--steps", "1", "--set", "train.batch=8", "--set", "model.width=8")
FOLDERS = st.one_of(st.sampled_from(["run", "lm", "race", "race/vae"]), WORDS)
VECTORS = st.one_of(st.sampled_from(["words", "words.txt", "words.bin"]), WORDS)
FILES = st.one_of(st.sampled_from(["text.txt", "labelled.tsv", "pairs.tsv", "one.png"]), WORDS)
CHEAP = st.one_of(
    st.lists(WORDS, max_size=4),
    st.tuples(st.sampled_from(list(VERBS)), WORDS)
    .map(list)
    .filter(lambda line: line[0] != "bench"),
    _line("list", WORDS),
    _line("explain", st.one_of(WORDS, FAMILIES)),
    _line("report", FOLDERS, flags=("--out", "--no-neighbours")),
    _line("check", "--solver", WORDS),
    _line("check", "--mixer", WORDS),
    _line("words", "neighbours", VECTORS, WORDS, flags=("--n",)),
    _line("words", "analogy", VECTORS, WORDS, WORDS, "two", flags=("--n",)),
    _line("words", "eval", VECTORS, "--pairs", FILES, flags=("--questions",)),
    _line("words", "classify", FILES, flags=("--vectors", "--classifier", "--held-out", "--seed")),
    _line("words", "fit", FILES, "--out", WORDS, flags=("--method", "--reader", "--format")),
    _line("train", FAMILIES, WORDS, *SHORT, flags=("--size", "--label", "--memory", "--out")),
    _line("train", "vae", "points.npz", *SHORT, flags=("--device", "--seed", "--memory")),
    _line("train", "--resume", FOLDERS, "--steps", SMALL),
    _line("race", WORDS, flags=("--families", "--seeds", "--parameters", "--examples", "--size")),
)
SAMPLE = _line(
    "sample", FOLDERS, "--n", st.sampled_from(["1", "2", "0", "-1", "18446744073709551616"]),
    flags=("--class", "--seed", "--evaluations", "--device", "--prompt", "--out"),
)  # fmt: skip


SETS = ("two-moons", "digits", "run", "lm", *(name for name in SPELLED.split() if "." in name))


def harmless(arguments: list[str]) -> bool:
    """Whether a line neither takes long nor writes outside of the ground."""
    verb, joined = next(iter(arguments), ""), " ".join(arguments)
    if any(word in ("--help", "-h") for word in arguments):
        return True
    if verb in ("eval", "export") or (verb == "check" and len(arguments) < 3):
        return False
    if verb == "race" and any(word in SETS for word in arguments):
        return False
    writes = verb in ("train", "race", "sample") or "fit" in arguments or "--out" in arguments
    return not (writes and ("/" in joined or "~" in joined or "--processes" in joined))


COMMANDS = st.one_of(CHEAP, CHEAP, SAMPLE).filter(harmless)


def try_command(ground: Ground, arguments: list[str]) -> None:
    os.chdir(ground.folder)
    keep = {"run", "lm", "race", "words", "cache"}
    before = {path.name for path in ground.folder.iterdir()}
    sound(arguments)
    for path in ground.folder.iterdir():
        if path.name not in before | keep:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


# --- settings -------------------------------------------------------------------------------------


def try_settings(ground: Ground, value: tuple[str, list[str]]) -> None:
    from danlu.data import open_source
    from danlu.runs.config import DataChoice, resolve
    from danlu.runs.settings import Settings
    from danlu.training import Budget

    family, items = value
    source = open_source("two-moons")
    choice = DataChoice(source="two-moons")
    foretold(lambda: resolve(family, source, choice, Budget(steps=1), settings=Settings(items)))


# --- damaged files --------------------------------------------------------------------------------

TOKENS = st.sampled_from(
    [b"null", b"NaN", b"1e999", b"-1", b"[]", b"{}", b'""', b"true", b"!!int abc", b"2020-01-01",
     b"!!python/object/apply:os.system [ls]", b"&a [*a]", b"\xff\xfe", b"\0", b"9" * 30, b"\n",
     b",", b":", b"}", b"[" * 2000, b"1000000", b"../../etc/passwd", b"\xe2\x80\xa8", b"\t", b" "]
)  # fmt: skip


ACCIDENTS: dict[str, Callable[[bytes, bytes, bytes], bytes]] = {
    "cut": lambda head, tail, token: head,
    "flip": lambda head, tail, token: (
        head + bytes(byte ^ (1 << len(token) % 8) for byte in tail[:1]) + tail[1:]
    ),
    "insert": lambda head, tail, token: head + token + tail,
    "replace": lambda head, tail, token: head + token + tail[len(token) :],
    "drop": lambda head, tail, token: head + tail[1 + len(token) * 8 :],
    "repeat": lambda head, tail, token: head + tail[:40] + tail,
    "zero": lambda head, tail, token: head + bytes(16) + tail[16:],
}


EDIT = st.tuples(
    st.sampled_from([*ACCIDENTS]),
    st.floats(0, 1, exclude_max=True),
    st.one_of(TOKENS, st.binary(max_size=8)),
)
EDITS = st.lists(EDIT, min_size=1, max_size=3)


def damaged(content: bytes, edits: list[tuple[str, float, bytes]]) -> bytes:
    """A file's bytes after some accidents."""
    for how, where, token in edits:
        at = int(where * len(content))
        content = ACCIDENTS[how](content[:at], content[at:], token)
    return content


def retyped(content: bytes, edits: list[tuple[str, float, bytes]]) -> bytes:
    """A JSON or YAML text in which some values are others: `key: value` with another value."""
    lines = content.split(b"\n")
    for _, where, token in edits:
        at = int(where * len(lines))
        key, colon, _ = lines[at].partition(b":")
        comma = b"," if lines[at].endswith(b",") else b""
        lines[at] = key + colon + b" " + token + comma
    return b"\n".join(lines)


def spoiled(name: str, edits: list[tuple[str, float, bytes]], *, typed: bool = False) -> Path:
    """A damaged copy of a file of the ground."""
    path = Path("spoiled") / Path(name).name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((retyped if typed else damaged)(Path(name).read_bytes(), edits))
    return path


IN_A_RUN = (
    "config.yaml environment.json metrics.jsonl fractions.jsonl samples/pictures.jsonl "
    "checkpoints/LATEST checkpoints/000002/meta.json checkpoints/000002/state.pt "
    "checkpoints/000002/model.safetensors checkpoints/000002/average.safetensors"
)
RUN_FILES = IN_A_RUN.split()
USES = {
    "sample": lambda run: ["sample", run, "--n", "1", "--out", "spoiled.npz"],
    "resume": lambda run: ["train", "--resume", run, "--steps", "3"],
    "report": lambda run: ["report", run],
}


def try_run_folder(ground: Ground, value: Any) -> None:
    kind, file, edits, typed, use = value
    os.chdir(ground.folder)
    shutil.rmtree("copy", ignore_errors=True)
    Path("spoiled.npz").unlink(missing_ok=True)
    shutil.copytree(kind, "copy")
    names = [file] if kind == "run" else ["results.json", "race.json", "vae/config.yaml"]
    path = Path("copy") / names[len(file) % len(names)]
    before = path.read_bytes() if path.exists() else b""
    path.write_bytes((retyped if typed else damaged)(before, edits))
    if kind == "race":
        sound(["report", "copy"])
        sound(["race", "--resume", "copy"])
    else:
        sound(USES[use]("copy"))


def try_image(ground: Ground, value: tuple[str, list]) -> None:
    from danlu.data import open_source

    os.chdir(ground.folder)
    shutil.rmtree("spoiled", ignore_errors=True)
    name, edits = value
    whole = Path("spoiled/whole.png")
    spoiled(name, edits)
    for number in range(10):
        shutil.copy("one.png", whole.with_stem(f"whole{number}"))
    foretold(lambda: open_source("spoiled", size=8))


def try_array(ground: Ground, value: tuple[str, list]) -> None:
    from danlu.data import open_source

    os.chdir(ground.folder)
    path = spoiled(*value)
    foretold(lambda: open_source(str(path)))


def try_text(ground: Ground, value: tuple[str, list]) -> None:
    os.chdir(ground.folder)
    name, content, edits = value
    path = Path("spoiled") / Path(name).name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(damaged(Path(name).read_bytes() if content is None else content, edits))
    if name == "labelled.tsv":
        sound(["words", "classify", str(path), "--classifier", "naive-bayes"])
    elif name == "pairs.tsv":
        sound(["words", "eval", "words", "--pairs", str(path)])
    else:
        from danlu.data.text import text_source

        foretold(lambda: text_source([path], window=8, unit="bytes", reader="plain"))
        foretold(lambda: text_source([path], window=8, unit="characters", reader="plain"))


def try_vectors(ground: Ground, value: tuple[str, list]) -> None:
    os.chdir(ground.folder)
    name, edits = value
    vectors = Path("spoiled") / Path(name).parts[0]
    shutil.rmtree("spoiled", ignore_errors=True)
    Path("spoiled").mkdir()
    (shutil.copytree if vectors.suffix == "" else shutil.copy)(vectors.name, vectors)
    path = Path("spoiled") / name
    path.write_bytes(damaged(path.read_bytes(), edits))
    sound(["words", "neighbours", str(vectors), "one", "--n", "2"])


# --- real starts ----------------------------------------------------------------------------------


def try_start(ground: Ground, value: tuple[list[str], float | None, int]) -> None:
    """A process of its own; some of them get a signal once they listen."""
    arguments, delay, number = value
    os.chdir(ground.folder)
    arguments = [
        each.encode("utf-8", "surrogatepass").decode("utf-8", "replace") for each in arguments
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "danlu", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    if delay is not None:
        while process.poll() is None and not _listens(process.pid):
            time.sleep(0.005)
        time.sleep(delay)
        process.send_signal(number)
    out, err = process.communicate(timeout=5 * SECONDS)
    said = (out + err).decode(errors="replace")
    assert process.returncode in CODES, (arguments, process.returncode, said)
    assert "Traceback" not in said, (arguments, said)
    assert "a mistake in danlu itself" not in said, (arguments, said)


def _listens(pid: int) -> bool:
    """Whether a process has taken SIGTERM; before that no line of ours has run."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


DELAY = st.one_of(st.none(), st.none(), st.floats(0, 3))
SIGNALS = st.sampled_from([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
STARTS = st.tuples(
    st.one_of(CHEAP.filter(harmless), SAMPLE, st.just(["check", "loss"])), DELAY, SIGNALS
)
IMAGES = st.sampled_from(
    [f"one.{ending}" for ending in ("png", "jpg", "gif", "tiff", "bmp", "webp")]
)
ARRAYS = st.sampled_from(["images.npz", "points.npz", "array.npy", "images-idx3-ubyte"])
VECTOR_FILES = st.sampled_from(
    ["words.txt", "words.bin", "words/vocabulary.txt", "words/vectors.safetensors"]
)
TEXTS = st.sampled_from(["text.txt", "labelled.tsv", "pairs.tsv"])
RUNS = st.tuples(
    st.sampled_from(["run", "run", "race"]),
    st.sampled_from(RUN_FILES),
    EDITS,
    st.booleans(),
    st.sampled_from(list(USES)),
)
SETTINGS = st.tuples(FAMILIES, st.lists(SETTING, min_size=1, max_size=3))
KINDS = {
    "command lines": Kind(COMMANDS, try_command, 3000),
    "settings": Kind(SETTINGS, try_settings, 4000),
    "run folders": Kind(RUNS, try_run_folder, 1500),
    "images": Kind(st.tuples(IMAGES, EDITS), try_image, 3000),
    "archives": Kind(st.tuples(ARRAYS, EDITS), try_array, 4500),
    "texts": Kind(
        st.tuples(TEXTS, st.one_of(st.none(), st.binary(max_size=200)), EDITS), try_text, 2500
    ),
    "vectors": Kind(st.tuples(VECTOR_FILES, EDITS), try_vectors, 2500),
    "starts": Kind(STARTS, try_start, 150),
    "more starts": Kind(STARTS, try_start, 150),
}

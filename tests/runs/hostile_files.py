"""Opens a hostile file of every format while it listens; prints what was heard as JSON."""
# ruff: noqa: E402, T201, SIM105

import json
import os
import sys

heard, listening = [], False
FORBIDDEN = (
    "pickle.find_class",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "subprocess.Popen",
    "socket.connect",
    "socket.bind",
    "os.startfile",
    "pty.spawn",
    "ctypes.dlopen",
)


def hook(event, arguments):
    if not listening:
        return
    if event in FORBIDDEN:
        heard.append((event, repr(arguments)[:200]))
    if event == "exec":
        name = getattr(arguments[0], "co_filename", "a text")
        generated = "<" in name  # code that a library makes of its own definitions
        if not generated and not os.path.isfile(name):
            heard.append((event, name))


MARK = "danlu_was_here"
sys.addaudithook(hook)

import warnings

warnings.simplefilter("ignore")
import gzip
import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import onnx
import torch

from danlu.cli.main import main
from danlu.contracts import DanluError
from danlu.data import open_source
from danlu.data.text import text_source
from danlu.embeddings import load_vectors
from danlu.evaluation.features import cache, from_file
from danlu.evaluation.results import Results
from danlu.races.resuming import resumable
from danlu.runs.folders import open_run
from danlu.training import checkpoint, prepared
from danlu.training.log import read_fractions, read_metrics
from danlu.training.records import record_json

home = Path(sys.argv[1])
os.chdir(home)
TOUCHED = home / MARK


class Evil:
    def __reduce__(self):
        return os.system, (f"touch {TOUCHED}",)


EVIL = pickle.dumps(Evil())
PYTHON = f"__import__('os').system('touch {TOUCHED}')"
RUN = home / "run"
assert (
    main(
        [
            "train",
            "vae",
            "two-moons",
            "--steps",
            "2",
            "--out",
            str(RUN),
            "--set",
            "model.width=8",
            "--set",
            "train.batch=16",
        ]
    )
    == 0
)
assert main(["eval", str(RUN), "--n", "8"]) == 0
NEWEST = RUN / "checkpoints/000002"


def archive():
    buffer = io.BytesIO()
    torch.save(Evil(), buffer)
    return buffer.getvalue()


def exported():
    network = torch.nn.Linear(2, 3)
    program = torch.export.export(network, (torch.zeros(4, 2),))
    torch.export.save(program, "good.pt2")
    with zipfile.ZipFile("good.pt2") as old, zipfile.ZipFile("evil.pt2", "w") as new:
        for each in old.infolist():
            content = old.read(each)
            if each.filename.endswith("config.json"):
                content = content.replace(b'"use_pickle": false', b'"use_pickle": true')
            if "/weights/weight_" in each.filename or each.filename.endswith("model.pt"):
                content = archive()
            new.writestr(each.filename, content)
    return Path("evil.pt2")


def npy_header():
    header = "{'descr': " + PYTHON + ", 'fortran_order': False, 'shape': (20, 2)}"
    header = header.ljust(117) + "\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(160)
    with zipfile.ZipFile("header.npz", "w") as file:
        file.writestr("x.npy", content)
    return Path("header.npz")


def with_digest(name, content):
    (NEWEST / name).write_bytes(content)
    meta = json.loads((NEWEST / "meta.json").read_text())
    for key in ("format", "digest"):
        meta.pop(key, None)
    meta["digests"][name] = checkpoint._digest(NEWEST / name)
    (NEWEST / "meta.json").write_text(record_json(meta))


def held(path, content, read):
    """Put a file in another's place, read it, and put the other back."""
    before = path.read_bytes() if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    try:
        return read()
    finally:
        path.unlink() if before is None else path.write_bytes(before)


def onnx_with(operator, domain):
    port = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(operator, ["x"], ["y"], domain=domain, code=PYTHON)],
        "net",
        [port("x", 1, ["n", 2])],
        [port("y", 1, ["n", 2])],
    )
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid(domain or "x", 1)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    Path("evil.onnx").write_bytes(model.SerializeToString())
    return Path("evil.onnx")


description = open_source("two-moons").description
YAML = f"family: !!python/object/apply:os.system ['touch {TOUCHED}']\n".encode()
PS = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch {TOUCHED}) (w) file\n".encode()

FOREIGN = (RUN / "config.yaml").read_text().replace("family: vae", "family: os:system")


def race(raw):
    (home / "race").mkdir(exist_ok=True)
    (home / "race/race.json").write_text(json.dumps(raw))
    return resumable(home / "race")


def asked(features):
    return {
        "request": {
            "data": {"source": "two-moons"},
            "minutes": 1.0,
            "examples": None,
            "parameters": None,
            "families": ["vae"],
            "seeds": [0],
            "settings": [],
            "device": "cpu",
            "features": features,
            "neighbours": True,
            "command": "",
            "track": None,
        }
    }


def picture_outside():
    results = json.loads((RUN / "results.json").read_text())
    (home / "outside.png").write_bytes(b"secret")
    (RUN / "evil.png").write_bytes(PS)
    for key in ("format", "digest"):
        results.pop(key)
    picture = {"seconds": 0.0, "path": "", "alt": "", "note": ""}
    places = ("../outside.png", "/etc/hostname", "evil.png")
    results["rows"][0]["grids"] = [{**picture, "path": place} for place in places]
    (RUN / "results.json").write_text(record_json(results))
    assert main(["report", str(RUN)]) == 0
    assert "secret" not in (RUN / "report.html").read_text()


def photos():
    Path("photos").mkdir()
    kinds = [("png", PS), ("eps", PS), ("jpg", EVIL), ("tiff", EVIL), ("gif", PS)] * 3
    for number, (end, content) in enumerate(kinds):
        Path(f"photos/{number}.{end}").write_bytes(content)
    return open_source("photos")


def idx():
    Path("idx").mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        Path(f"idx/{name}-ubyte.gz").write_bytes(gzip.compress(EVIL))
    return open_source("idx")


def vectors():
    Path("vec").mkdir()
    Path("vec/vocabulary.txt").write_text(PYTHON)
    Path("vec/vectors.safetensors").write_bytes(EVIL)
    return load_vectors(Path("vec"))


def objects(name, **arrays):
    np.savez(name, **arrays)
    return open_source(name)


HOSTILE = np.array([Evil()] * 20, dtype=object)
SMALL = ("--set", "model.width=8", "--set", "train.batch=16")
good = {"state.pt": (NEWEST / "state.pt").read_bytes()}
CASES = {
    "config.yaml": lambda: held(RUN / "config.yaml", YAML, lambda: open_run(RUN)),
    "config.yaml, a family": lambda: held(
        RUN / "config.yaml", FOREIGN.encode(), lambda: open_run(RUN).model()
    ),
    "environment.json": lambda: held(
        RUN / "environment.json",
        EVIL,
        lambda: main(["sample", str(RUN), "--n", "1", "--out", "a.npz"]),
    ),
    "state.pt": lambda: (with_digest("state.pt", archive()), checkpoint.load_newest(RUN)),
    "state.pt, bare": lambda: (with_digest("state.pt", EVIL), checkpoint.load_newest(RUN)),
    "model.safetensors": lambda: (
        with_digest("state.pt", good["state.pt"]),
        with_digest("model.safetensors", EVIL),
        checkpoint.load_newest(RUN),
    ),
    "average.safetensors": lambda: held(
        NEWEST / "average.safetensors", EVIL, lambda: checkpoint.load_average(RUN)
    ),
    "meta.json": lambda: held(NEWEST / "meta.json", EVIL, lambda: checkpoint.load_average(RUN)),
    "LATEST": lambda: held(
        RUN / "checkpoints/LATEST", b"../../etc", lambda: checkpoint.load_average(RUN)
    ),
    "metrics.jsonl": lambda: held(RUN / "metrics.jsonl", EVIL, lambda: read_metrics(RUN)),
    "fractions.jsonl": lambda: held(RUN / "fractions.jsonl", EVIL, lambda: read_fractions(RUN)),
    "prepared": lambda: held(
        RUN / "prepared/a.safetensors", EVIL, lambda: prepared.recall(RUN, "a", None)
    ),
    "results.json": lambda: held(
        RUN / "results.json", EVIL, lambda: Results.load(RUN / "results.json")
    ),
    "pictures of a report": picture_outside,
    "race.json": lambda: race(asked(str(home / "evil.pt2"))),
    "race.json, from above": lambda: race(asked("../evil.onnx")),
    "features .pt2": lambda: from_file(exported(), description),
    "features .pt2 by another name": lambda: (
        exported().rename("other.onnx"),
        from_file(Path("other.onnx"), description),
    ),
    "features .onnx": lambda: from_file(onnx_with("PyOp", "com.microsoft"), description),
    "features .onnx, foreign": lambda: from_file(onnx_with("PythonOp", "evil"), description),
    "cache": lambda: held(cache.cache_folder() / "k.safetensors", EVIL, lambda: cache.recall("k")),
    "npz of objects": lambda: objects("objects.npz", x=HOSTILE),
    "npz of object labels": lambda: objects("labels.npz", x=np.zeros((20, 2)), y=HOSTILE),
    "npy header": lambda: open_source(str(npy_header())),
    "pickle as npz": lambda: (Path("p.npz").write_bytes(EVIL), open_source("p.npz")),
    "images": photos,
    "IDX": idx,
    "text": lambda: (
        Path("t.txt").write_text(PYTHON * 500),
        text_source([Path("t.txt")], window=8),
    ),
    "pickle as text": lambda: (Path("t.txt").write_bytes(EVIL), text_source([Path("t.txt")])),
    "word2vec text": lambda: (
        Path("v.txt").write_text(f"1 2\n{PYTHON} {PYTHON} 1\n"),
        load_vectors(Path("v.txt")),
    ),
    "word2vec binary": lambda: (Path("v.bin").write_bytes(EVIL), load_vectors(Path("v.bin"))),
    "vectors": vectors,
    "settings": lambda: main(
        [
            "train",
            "vae",
            "two-moons",
            "--steps",
            "1",
            "--out",
            "s",
            "--set",
            f"model.width={PYTHON}",
        ]
    ),
}
found = {}
for name, read in CASES.items():
    heard.clear()
    listening = True
    try:
        read()
        ended = "read"
    except DanluError as error:
        ended = str(error)
    except Exception as error:
        ended = f"{type(error).__name__}: {error}"
    finally:
        listening = False
    found[name] = {"heard": list(heard), "ended": ended, "touched": TOUCHED.exists()}
    TOUCHED.unlink(missing_ok=True)
# What makes the silence mean something: the listener hears each kind.
listening = True
DEEDS = (
    lambda: pickle.loads(EVIL),
    lambda: torch.load(io.BytesIO(archive()), weights_only=False),
    lambda: eval(compile(PYTHON, "hostile", "eval")),
    lambda: torch.export.load(exported()),
)
for deed in DEEDS:
    heard.clear()
    try:
        deed()
    except Exception:
        pass
    name = f"control {len(found)}"
    found[name] = {"heard": list(heard), "ended": "", "touched": TOUCHED.exists()}
    TOUCHED.unlink(missing_ok=True)
listening = False
print("\n" + json.dumps(found))

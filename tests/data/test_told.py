"""What examples are told: texts beside images, tables, vectors, pairs of folders."""

import csv
import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from danlu.contracts import Classes, DanluError, DataKind, Tokens, Vector
from danlu.contracts import Image as ImageKind
from danlu.data import ExampleStream, open_source
from danlu.data.fingerprints import fingerprint

RNG = np.random.default_rng(0)
N = 24
NAMES = [f"{i % 2}/{i:02}.png" for i in range(N)]
"""In two subfolders."""


def said(name):
    """A text that tells the image, in bytes of several lengths."""
    return f"picture {name} 三" * (1 + name.count("1"))


@pytest.fixture
def folder(tmp_path):
    """Images whose first pixel is their number."""
    root = tmp_path / "photos"
    for i, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = RNG.integers(256, size=(8, 8, 3), dtype=np.uint8)
        pixels[0, 0] = 10 * i
        Image.fromarray(pixels).save(root / name)
    return root


def metadata(root, names):
    rows = [{"file_name": name, "text": said(name)} for name in names]
    text = "\n".join(json.dumps(row) for row in rows)
    (root / "metadata.jsonl").write_text(text + "\n\n", encoding="utf-8")


def nested_metadata(root, names):
    for part in {name.split("/")[0] for name in names}:
        own = [name for name in names if name.startswith(part)]
        rows = [{"file_name": name.split("/")[1], "text": said(name)} for name in own]
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        (root / part / "metadata.jsonl").write_text(text, encoding="utf-8")


def table(root, names):
    with (root / "captions.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["file_name", "text", "mark"])
        rows.writerows([name, said(name), 3] for name in names)


def sidecars(root, names):
    for name in names:
        (root / name).with_suffix(".txt").write_text(said(name) + "\n", encoding="utf-8")


WAYS = [metadata, nested_metadata, table, sidecars]


def texts(source):
    """First pixel of each example -> the text that it is told."""
    found = {}
    for split in (source.training, source.validation, source.test):
        batch = split.batch(torch.arange(len(split)))
        ids, valid = batch.condition.values, batch.condition.valid
        for x, row, seen in zip(batch.x, ids, valid, strict=True):
            number = round((x[0, 0, 0].item() + 1) * 127.5 / 10)
            found[number] = bytes(row[seen].tolist()).decode()
            assert (row[~seen] == 0).all()
    return found


@pytest.mark.parametrize("way", WAYS)
def test_captions_stand_beside_their_images(folder, way):
    way(folder, NAMES)
    source = open_source(str(folder), size=8, label="captions")
    assert texts(source) == {i: said(name) for i, name in enumerate(NAMES)}
    longest = max(len(said(name).encode()) for name in NAMES)
    assert source.description.condition == Tokens(length=longest)
    assert source.class_names == ()
    assert source.skipped == ()
    assert any(line.startswith(f"Captions of {N} images from") for line in source.notices)


@pytest.mark.parametrize("way", WAYS)
def test_what_has_no_partner_is_counted_and_named(folder, way):
    way(folder, [*NAMES[2:], "0/gone.png"])
    source = open_source(str(folder), size=8, label="captions")
    assert set(texts(source)) == set(range(2, N))
    assert source.skipped == tuple(f"{name}: without a caption" for name in sorted(NAMES[:2]))
    (line,) = [line for line in source.notices if "without an image" in line]
    assert line.startswith("1 captions without an image: 0/gone")


def test_names_of_folders_are_captions_too(folder):
    (folder / "0").rename(folder / "a_red_cat")
    source = open_source(str(folder), size=8, label="captions")
    assert set(texts(source).values()) == {"a red cat", "1"}
    assert source.description.condition == Tokens(length=9)


def test_split_folders_have_captions(folder):
    sidecars(folder, NAMES)
    (folder / "0").rename(folder / "train")
    (folder / "1").rename(folder / "test")
    source = open_source(str(folder), size=8, label="captions")
    assert len(source.test) == N // 2
    assert texts(source) == {i: said(name) for i, name in enumerate(NAMES)}


def test_long_captions_are_cut_off_and_it_is_said(folder):
    metadata(folder, NAMES)
    path = folder / "metadata.jsonl"
    path.write_text(path.read_text().replace("picture 0/00", "x" * 999, 1))
    source = open_source(str(folder), size=8, label="captions")
    assert source.description.condition == Tokens(length=256)
    assert "1 captions are longer than 256 bytes, and cut off there." in source.notices
    assert texts(source)[0] == "x" * 256


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("metadata.jsonl", '{"file_name": "a.png"}', "line 1 needs a `file_name` and a `text`"),
        ("metadata.jsonl", '{"file_name": "a.png", "text": 3}', "line 1 needs"),
        ("metadata.jsonl", "\n[", "line 2 is no JSON"),
        ("metadata.jsonl", "[]", "line 1 needs"),
        ("metadata.jsonl", 2 * '{"file_name": "a", "text": "b"}\n', "names a twice"),
        ("metadata.jsonl", '{"file_name": "a", "text": "b"}\n', "No image has a caption in meta"),
        ("captions.csv", "name,text\na,b", "line 2 needs a `file_name`"),
        ("captions.csv", "file_name,text\na", "line 2 needs"),
        ("captions.csv", "file_name,text\na,b\na,c", "names a twice"),
    ],
)
def test_bad_captions_are_one_line(folder, name, content, told):
    (folder / name).write_text(content)
    with pytest.raises(DanluError, match=told) as caught:
        open_source(str(folder), size=8, label="captions")
    assert "\n" not in str(caught.value)


def test_no_captions_are_one_line(folder, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for name in NAMES:
        (folder / name).rename(flat / name.replace("/", "-"))
    with pytest.raises(DanluError, match=r"--label captions needs metadata\.jsonl"):
        open_source(str(flat), size=8, label="captions")
    Image.new("RGB", (8, 8)).save(flat / "1-01.bmp")
    with pytest.raises(DanluError, match=r"1-01.bmp and 1-01.png have one caption file"):
        open_source(str(flat), size=8, label="captions")


# --- pairs of folders -----------------------------------------------------------------------------


def pairs(folder, tmp_path):
    root = tmp_path / "pairs"
    folder.rename(root / "images") if root.exists() or root.mkdir() is None else None
    for i, name in enumerate(NAMES):
        path = (root / "conditions" / name).with_suffix(".bmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 10 * i).save(path)
    return root


def test_images_are_told_those_of_the_same_name(folder, tmp_path):
    root = pairs(folder, tmp_path)
    source = open_source(str(root), size=8)
    assert source.description.condition == ImageKind((1, 8, 8))
    for split in (source.training, source.validation, source.test):
        batch = split.batch(torch.arange(len(split)))
        assert torch.allclose(batch.condition.values[:, 0, 3, 3], batch.x[:, 0, 0, 0], atol=1e-6)
    stream = ExampleStream(source.training, source.description, batch=5, seed=0)
    ahead = [next(stream) for _ in range(9)][-1]
    again = ExampleStream(source.training, source.description, batch=5, seed=0)
    again.seek(40)
    assert torch.equal(next(again).condition.values, ahead.condition.values)


def test_lonely_partners_are_counted_and_named(folder, tmp_path):
    root = pairs(folder, tmp_path)
    (root / "images" / NAMES[3]).unlink()
    (root / "conditions" / NAMES[4]).with_suffix(".bmp").unlink()
    source = open_source(str(root), size=8)
    assert source.skipped == (f"{NAMES[4]}: without a partner",)
    assert f"1 conditions without an image: {NAMES[3][:-4]}." in source.notices
    other = root / "conditions" / NAMES[5]
    other.with_suffix(".bmp").rename(other)
    Image.new("L", (8, 8)).save(other.with_suffix(".bmp"))
    with pytest.raises(DanluError, match=f"several images are called {NAMES[5][:-4]}"):
        open_source(str(root), size=8)


# --- arrays and tables ----------------------------------------------------------------------------

X = RNG.standard_normal((40, 3)).astype(np.float32)
ANGLE = RNG.standard_normal((40, 2))
WORDS = np.array([f"word {i} é" for i in range(40)])
LABELS = np.array(["cat", "dog"] * 20)


def rows_of(source):
    """Every example with what it is told, in the order of the file."""
    known = {tuple(row.tolist()): i for i, row in enumerate(X)}
    found = {}
    for split in (source.training, source.validation, source.test):
        batch = split.batch(torch.arange(len(split)))
        for i, x in enumerate(batch.x):
            found[known[tuple(x.tolist())]] = batch.condition[torch.tensor([i])]
    return [found[i] for i in range(len(X))]


def test_vectors_of_an_archive(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, x=X, condition=ANGLE, captions=WORDS)
    source = open_source(str(path))
    assert source.description.condition == Vector(2)
    assert source.description.kind is DataKind.VECTOR
    told = torch.cat([each.values for each in rows_of(source)])
    assert torch.equal(told, torch.from_numpy(ANGLE.astype(np.float32)))
    assert "Told its condition; captions are not used." in source.notices
    np.savez(path, x=X, condition=ANGLE[:, 0] * 100, test=X + 9, test_condition=ANGLE[:, 1])
    source = open_source(str(path))
    assert source.description.condition == Vector(1)
    assert torch.equal(
        source.test.condition.values[:, 0], torch.from_numpy(ANGLE[:, 1].astype(np.float32))
    )
    assert any("scale it to about 1" in line for line in source.notices)


def test_texts_of_an_archive(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, x=X, captions=WORDS, labels=LABELS)
    source = open_source(str(path), label="captions")
    assert source.description.condition == Tokens(length=10)
    told = [bytes(c.values[c.valid].tolist()).decode() for c in rows_of(source)]
    assert told == WORDS.tolist()
    assert open_source(str(path)).description.condition == Classes(2)
    other = tmp_path / "y.npz"
    np.savez(other, x=X, captions=WORDS[::-1])
    digests = [fingerprint(open_source(str(p), label="captions")) for p in (path, other)]
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("arrays", "label", "told"),
    [
        ({"condition": ANGLE[:9]}, "none", "condition must be one vector for each of the 40"),
        ({"condition": ANGLE + np.inf}, "none", "infinite or missing"),
        ({"condition": WORDS}, "none", "condition must be numbers"),
        ({"captions": ANGLE[:, 0]}, "none", "captions must be texts"),
        ({"labels": LABELS}, "captions", "has no texts; name them `captions`"),
        ({"condition": ANGLE, "test": X}, "none", "test arrays do not fit"),
        ({"labels": LABELS}, "folder", "--label are for folders of images"),
    ],
)
def test_what_cannot_be_told_is_one_line(tmp_path, arrays, label, told):
    np.savez(tmp_path / "x.npz", x=X, **arrays)
    with pytest.raises(DanluError, match=told):
        open_source(str(tmp_path / "x.npz"), label=label)


def as_csv(path, columns):
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))


def as_parquet(path, columns):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({k: pyarrow.array(v) for k, v in columns.items()}), path)


FORMS = [
    pytest.param("csv", as_csv, id="csv"),
    pytest.param("parquet", as_parquet, id="parquet", marks=pytest.mark.long),
]


@pytest.mark.parametrize(("suffix", "write"), FORMS)
def test_columns_of_tables(tmp_path, suffix, write):
    path = tmp_path / f"x.{suffix}"
    numbers = {f"f{i}": [float(v) for v in X[:, i]] for i in range(3)}
    write(path, {**numbers, "Label": LABELS.tolist(), "text": WORDS.tolist()})
    source = open_source(str(path))
    assert source.class_names == ("cat", "dog")
    assert [int(each.values) for each in rows_of(source)] == [0, 1] * 20
    source = open_source(str(path), label="captions")
    assert [bytes(c.values[c.valid].tolist()).decode() for c in rows_of(source)] == WORDS.tolist()
    both = {f"condition_{i}": [float(v) for v in ANGLE[:, i]] for i in range(2)}
    write(path, {**both, **numbers})
    source = open_source(str(path))
    assert source.description.condition == Vector(2)
    told = torch.cat([each.values for each in rows_of(source)])
    assert torch.equal(told, torch.from_numpy(ANGLE.astype(np.float32)))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must begin with a line that names its columns"),
        ("1,2\n3,4\n", "must begin with a line that names its columns"),
        ("a,a\n3,4\n", "several columns called a"),
        ("a,b\n3\n", "line 2 has 1 columns, the first has 2"),
        ("a,city\n3,Rome\n", "column 'city' is not of numbers, such as 'Rome'"),
        ("a,y,label\n3,4,5\n", "two columns of labels"),
        ("label\n3\n", "no column of numbers"),
        ("a,b\n" + "1,\n" * 20, "infinite or missing"),
        ("a,b\n" + "1,2\n" * 3, "at least 10 are needed"),
    ],
)
def test_bad_tables_are_one_line(tmp_path, text, told):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(DanluError, match=told) as caught:
        open_source(str(path))
    assert "\n" not in str(caught.value)


def test_parquet_without_its_reader_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("danlu.data.tables.find_spec", lambda name: None)
    with pytest.raises(DanluError, match=r"pip install 'danlu\[parquet\]'"):
        open_source(str(tmp_path / "x.parquet"))

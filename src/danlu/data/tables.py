"""Tables in CSV and Parquet files: a row is an example, its columns of numbers a vector.

The first row of a CSV file names the columns. A column `label`, `labels`, `class` or `y` gives
classes, `text`, `caption` or `captions` what an example is told in words, and columns whose names
begin with `condition` the vector that it is told. They are used as their namesakes in an `.npz`
file are. Parquet is read by pyarrow, the extra `parquet`.
"""

import csv
from array import array
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from danlu.contracts import DanluError
from danlu.reading import require_file, require_memory

SUFFIXES = (".csv", ".parquet")
CLASS_COLUMNS = ("label", "labels", "class", "y")
TEXT_COLUMNS = ("text", "caption", "captions")
CONDITION = "condition"
COPIES = 6
"""Bytes of memory for a byte of a file: numbers of 8 bytes for a few characters, and words."""


def table_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a table by what they are: x, and labels, captions or condition.

    Raises:
        DanluError: it is no table, a row has another length, or a column is no number.
    """
    require_file(path)
    columns = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    parts: dict[str, list[np.ndarray]] = {"x": [], CONDITION: []}
    found: dict[str, np.ndarray] = {}
    for name, column in columns:
        known = name.strip().lower()
        if known in CLASS_COLUMNS:
            _once(found, "labels", column, path)
        elif known in TEXT_COLUMNS:
            _once(found, "captions", column.astype(str), path)
        elif column.dtype.kind not in "buif":
            raise DanluError(
                f"{path}: column {name!r} is not of numbers, such as {str(column[0])!r}; take it "
                "out, or call it `label` or `text`."
            )
        else:
            parts[CONDITION if known.startswith(CONDITION) else "x"].append(column)
    if not parts["x"]:
        raise DanluError(f"{path} has no column of numbers to learn.")
    stacked = {name: np.stack(part, axis=1) for name, part in parts.items() if part}
    return {**stacked, **found}


def _once(found: dict[str, np.ndarray], key: str, column: np.ndarray, path: Path) -> None:
    if key in found:
        raise DanluError(f"{path} has two columns of {key}; leave one.")
    found[key] = column


def _csv(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    require_memory(COPIES * path.stat().st_size, str(path), instead="give a smaller table")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            names = next(rows, [])
            columns = [_Column() for _ in names]
            for row in rows:
                if row and len(row) != len(names):
                    raise DanluError(
                        f"{path}, line {rows.line_num} has {len(row)} columns, the first has "
                        f"{len(names)}."
                    )
                for column, cell in zip(columns, row, strict=bool(row)):
                    column.add(cell)
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise DanluError(f"{path} cannot be read as CSV: {error}.") from None
    _require_names(names, path)
    yield from ((name, column.whole()) for name, column in zip(names, columns, strict=True))


def _require_names(names: Sequence[str], path: Path) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DanluError(f"{path} has several columns called {', '.join(sorted(twice))}.")
    if not names or any(_is_number(name) for name in names):
        raise DanluError(f"{path} must begin with a line that names its columns.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


class _Column:
    """Numbers, as long as all cells are; else words."""

    def __init__(self) -> None:
        self.numbers, self.words = array("d"), []

    def add(self, cell: str) -> None:
        if not self.words:
            try:
                self.numbers.append(float(cell) if cell.strip() else float("nan"))
            except ValueError:
                self.words = [f"{number:g}" for number in self.numbers]
            else:
                return
        self.words.append(cell)

    def whole(self) -> np.ndarray:
        return np.array(self.words) if self.words else np.frombuffer(self.numbers)


def _parquet(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    if find_spec("pyarrow") is None:
        raise DanluError("Parquet needs pyarrow: pip install 'danlu[parquet]'.")
    from pyarrow import ArrowException, parquet  # pyright: ignore[reportMissingImports]

    try:
        with parquet.ParquetFile(path) as file:
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            unpacked = sum(group.total_byte_size for group in groups)
            require_memory(COPIES * unpacked, str(path), instead="give a smaller table")
            table = file.read()
    except (ArrowException, OSError) as error:
        first = str(error).partition("\n")[0]
        raise DanluError(f"{path} cannot be read as Parquet: {first}.") from None
    _require_names(table.column_names, path)
    for name in table.column_names:
        column = table.column(name).to_numpy()
        yield name, column.astype(str) if column.dtype.kind == "O" else column

"""Find data by name or by path."""

from collections.abc import Iterable
from pathlib import Path

from danlu.contracts import DanluError, unknown
from danlu.data.arrays import npz_source
from danlu.data.folder import folder_source
from danlu.data.idx import find_parts, idx_source
from danlu.data.source import Source

LABELS = ("none", "folder")


def open_source(name_or_path: str, *, size: int | None = None, label: str = "none") -> Source:
    """A named set, a folder of images or of four IDX files, or an `.npz` file.

    Args:
        name_or_path: a name in `SOURCES`, or a path; write `./digits` for a folder of that name.
        size: side of the images of a folder; 32 when absent.
        label: "folder" makes the subfolders of a folder of images its classes.

    Raises:
        DanluError: it is not there, or not usable; one line says what to do.
    """
    if label not in LABELS:
        raise unknown("label rule", label, LABELS)
    from danlu.data import SOURCES  # the room's table stands above this module

    path = Path(name_or_path).expanduser()
    named = SOURCES.get(name_or_path)
    parts = find_parts(path)
    if named is None and parts is None and path.is_dir():
        return folder_source(path, size=size, label=label)
    if named is None and not path.exists():
        raise _missing(name_or_path, SOURCES)
    if size is not None or label != "none":
        raise DanluError(f"--size and --label are for folders of images, not for {name_or_path}.")
    if named is not None:
        return named.build()
    if parts is not None:
        return idx_source(parts, path.resolve().name)
    if path.suffix == ".npz":
        return npz_source(path)
    raise DanluError(
        f"{path} is neither a folder nor an .npz file; give the folder that holds the images. "
        f"Text is learned by `danlu train lm {path}`."
    )


def _missing(given: str, names: Iterable[str]) -> DanluError:
    if "/" in given or Path(given).suffix:
        return DanluError(f"There is no file or folder {given}.")
    return DanluError(f"{unknown('data set', given, names)} No folder here has that name either.")

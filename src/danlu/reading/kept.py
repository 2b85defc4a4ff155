"""Where things that can be made again are kept: `$DANLU_CACHE`, else `~/.cache/danlu`."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder; it may not exist yet."""
    chosen = os.environ.get("DANLU_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "danlu"

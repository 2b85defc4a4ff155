"""Where things that can be made again are kept: `$DANLU_CACHE`, else `~/.cache/danlu`."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder; it may not exist yet."""
    return Path(os.path.expanduser(os.environ.get("DANLU_CACHE") or "~/.cache/danlu"))

"""`python -m danlu.cli` is the same as `danlu`."""

import sys

from danlu.cli.main import main

sys.exit(main())

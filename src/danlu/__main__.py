"""`python -m danlu` is the same as `danlu`; `torchrun -m danlu train` starts several processes."""

import sys

from danlu.cli.main import main

sys.exit(main())

"""`python -m mmran` is `mmran`."""

import sys

from mmran.cli import main

sys.exit(main())

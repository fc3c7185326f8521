"""python -m crabcan."""

import sys

from crabcan.cli import main

sys.exit(main())

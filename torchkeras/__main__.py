"""`python -m torchkeras`."""

import sys

from torchkeras.cli.main import main

sys.exit(main())

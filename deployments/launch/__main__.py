"""`python -m deployments.launch`: the whole system on this machine."""

import sys

from deployments.launch.local import main

if __name__ == "__main__":
    sys.exit(main())

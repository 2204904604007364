"""ingest.million: both paths from 10,000 to 1,000,000 films; `python -m benchmarks.ingest --curve SIZES` for others."""

import sys

from benchmarks.ingest import main

if __name__ == "__main__":
    sys.argv += ["--curve", "10000,100000,1000000"]
    main()

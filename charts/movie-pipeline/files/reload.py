"""Run the program and start it anew whenever its code changes: for skaffold dev, which copies changed files into the pod."""

import importlib.util
import signal
import subprocess
import sys
import time
from pathlib import Path

CODE = Path(importlib.util.find_spec("movie_pipeline").origin).parent


def newest() -> float:
    """Return when the code was last changed."""
    return max(path.stat().st_mtime for path in CODE.rglob("*.py"))


def stop(*_: object) -> None:
    """Pass the pod's end on to the program."""
    program.terminate()
    sys.exit(program.wait())


signal.signal(signal.SIGTERM, stop)
while True:
    seen = newest()
    program = subprocess.Popen(["movie-pipeline", *sys.argv[1:]])
    while newest() == seen:
        if program.poll() is not None:
            sys.exit(program.returncode)
        time.sleep(1)
    print("the code has changed, the program starts anew", flush=True)
    program.terminate()
    program.wait()

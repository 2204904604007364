"""Run measurements by name, each in a process of its own: machine facts first, then `name value unit` a line."""

import argparse
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

QUICK = ("load", "rivals", "ingest", "producer", "analysis")
LONG = ("million", "crawl", "chaos", "fuzz")
PACKAGES = ("pandas", "pyarrow", "psycopg2-binary", "kafka-python", "distributed")


def main() -> int:
    """Run what is asked for; 1 when one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join((*QUICK, *LONG))}; the first five when none is named")
    names = parser.parse_args().names or QUICK
    for line in machine():
        print(f"# {line}", flush=True)
    failed = []
    for name in names:
        if not (Path(__file__).parent / f"{name}.py").exists():
            parser.error(f"there is no measurement {name!r}; there are {', '.join((*QUICK, *LONG))}")
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            failed.append(name)
            print(f"# {name} failed", flush=True)
    return int(bool(failed))


def machine() -> list[str]:
    """Say what the figures were measured on."""
    cpu = [line.partition(":")[2].strip() for line in read("/proc/cpuinfo") if line.startswith("model name")]
    memory = [line.split()[1] for line in read("/proc/meminfo") if line.startswith("MemTotal")]
    return [
        f"cpu: {os.cpu_count()} x {cpu[0] if cpu else platform.processor()}",
        f"memory: {int(memory[0]) / 2**20 if memory else 0:.0f} GiB",
        f"system: {platform.system()} {platform.release()}, Python {platform.python_version()}",
        f"load before: {' '.join(f'{value:.1f}' for value in os.getloadavg())}",
        ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    ]


def read(path: str) -> list[str]:
    """Return the lines of a file, none where there is no such file."""
    place = Path(path)
    return place.read_text(encoding="utf-8").splitlines() if place.exists() else []


if __name__ == "__main__":
    sys.exit(main())

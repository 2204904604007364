"""A release on a real cluster, by the programs that people use: kubectl and helm."""

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "movie-pipeline"


class CommandError(Exception):
    """A program's exit code was not 0; the message holds what it said."""


def program(name: str) -> str:
    """Return the program that the variable of its name in capitals names, or the one on PATH."""
    wanted = os.environ.get(name.upper(), name)
    found = shutil.which(wanted)
    assert found, f"{wanted!r} is no program: install {name}, or set {name.upper()}"
    return found


def run(*command: str, timeout_seconds: float = 600, text: str | None = None) -> str:
    """Run a command and return what it said; CommandError when it failed."""
    return run_both(*command, timeout_seconds=timeout_seconds, text=text)[0]


def run_both(*command: str, timeout_seconds: float = 600, text: str | None = None) -> tuple[str, str]:
    """Run a command and return its output and its warnings; CommandError when it failed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout_seconds, input=text)
    if done.returncode:
        raise CommandError(
            f"{' '.join(command[:12])}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
    return done.stdout, done.stderr


def until(what: str, holds: Callable[[], Any], *, seconds: float, pause: float = 1.0) -> Any:
    """Ask until the answer is true and return it; a program that fails meanwhile counts as no."""
    end, said = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        try:
            if answer := holds():
                return answer
        except (CommandError, OSError) as error:
            said = str(error)[-800:]
        time.sleep(pause)
    raise AssertionError(f"{what}: not within {seconds} s. {said}")


@dataclass(frozen=True)
class Release:
    """One release of the chart in one namespace."""

    name: str
    namespace: str
    chart: Path

    @property
    def full(self) -> str:
        """The prefix of our objects' names."""
        return f"{self.name}-movie-pipeline"

    def kubectl(self, *arguments: str, timeout_seconds: float = 120, text: str | None = None) -> str:
        """Run kubectl in the namespace."""
        return run(
            program("kubectl"), "--namespace", self.namespace, *arguments, timeout_seconds=timeout_seconds, text=text
        )

    def helm(self, verb: str, *arguments: str, timeout_seconds: float = 900) -> str:
        """Run helm in the namespace."""
        return run(program("helm"), verb, *arguments, "--namespace", self.namespace, timeout_seconds=timeout_seconds)

    def install(self, *arguments: str) -> None:
        """Install and wait until everything is ready."""
        self.helm("install", self.name, str(self.chart), "--wait", "--timeout", "14m", *arguments)

    def upgrade(self, *arguments: str) -> None:
        """Upgrade and wait until everything is ready."""
        self.helm("upgrade", self.name, str(self.chart), "--wait", "--timeout", "14m", *arguments)

    def uninstall(self) -> None:
        """Uninstall and wait until Helm's objects are gone."""
        self.helm("uninstall", self.name, "--wait", "--timeout", "5m")

    def sql(self, statement: str) -> str:
        """Run SQL as the schema's owner in the database's pod."""
        connection = "-h 127.0.0.1 -U movies_owner -d movies"
        shell = f'PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE") psql -X -v ON_ERROR_STOP=1 {connection} -At'
        pod = f"{self.name}-postgresql-0"
        return self.kubectl("exec", "--stdin", pod, "--", "bash", "-c", shell, text=statement).strip()

    def films(self) -> int:
        """Count the films of the warehouse, each once."""
        # A busy kubelet may end an exec before its output: no answer is no film.
        return int(self.sql("SELECT count(DISTINCT tmdb_id) FROM movie_data_warehouse") or 0)

    def python(self, component: str, program_text: str) -> str:
        """Run a Python program in the first pod of a component, with the pod's own account, network and rights."""
        found = self.pods(f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}")
        return self.kubectl("exec", "--stdin", found[0], "--", "python", "-", text=program_text)

    def secret(self, name: str, key: str) -> str:
        """Read one value of a Secret."""
        data = json.loads(self.kubectl("get", "secret", name, "--output", "json"))["data"]
        return base64.b64decode(data[key]).decode()

    def pods(self, selector: str) -> list[str]:
        """Return the names of the pods that a selector finds and that are not ending."""
        items = json.loads(self.kubectl("get", "pods", "--selector", selector, "--output", "json"))["items"]
        return [item["metadata"]["name"] for item in items if not item["metadata"].get("deletionTimestamp")]

    def kill(self, selector: str) -> list[str]:
        """Delete pods at once, as a lost node does; return their names."""
        found = self.pods(selector)
        if found:
            self.kubectl("delete", "pod", *found, "--grace-period=0", "--force", "--wait=false")
        return found

    @contextmanager
    def forwarded(self, service: str, port: int) -> Iterator[str]:
        """Reach a service of the namespace on this machine; give its address."""
        local = free_port()
        command = [
            program("kubectl"),
            "--namespace",
            self.namespace,
            "port-forward",
            f"service/{service}",
            f"{local}:{port}",
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as forward:
            try:
                until("port-forward", lambda: _listens(local), seconds=30, pause=0.2)
                yield f"http://127.0.0.1:{local}"
            finally:
                forward.terminate()


def free_port() -> int:
    """Return a port of this machine that nobody uses now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=2):
        return True


def ask(address: str, body: Any = None, token: str = "") -> Any:
    """Ask an HTTP API; JSON comes back as values, anything else as text."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(address, data=data, headers=headers), timeout=30) as answer:
        text = answer.read().decode()
        return json.loads(text) if "json" in answer.headers.get("Content-Type", "") else text


DIGESTS = {
    "movies": "id, title, original_title, release_date, runtime, budget, revenue, popularity, vote_average, vote_count,"
    " deleted_at",
    "genres": "id, name",
    "production_companies": "id, name",
    "people": "id, name",
    "movie_genres": "movie_id, genre_id, position",
    "movie_production_companies": "movie_id, company_id, position",
    "movie_directors": "movie_id, person_id, position",
    "movie_cast": "movie_id, person_id, billing_order",
    "movie_history": "movie_id, popularity, vote_average, vote_count, revenue",
    "movie_data_warehouse": "tmdb_id, title, release_date, release_year, genre, budget, revenue, runtime, director,"
    " popularity, vote_average, vote_count, roi, popularity_level, rating_level, is_profitable",
}


class Figures:
    """What a run was seen to take; pytest prints it at the end."""

    lines: ClassVar[list[str]] = []

    @classmethod
    def add(cls, line: str) -> None:
        """Keep one line."""
        cls.lines.append(line)

    @classmethod
    @contextmanager
    def timed(cls, what: str) -> Iterator[None]:
        """Keep how long a block took."""
        started = time.monotonic()
        yield
        cls.add(f"{what}: {time.monotonic() - started:.0f} s")


def contents(release: Release) -> dict[str, str]:
    """Return rows and a digest of every table, without serial keys and load times."""
    parts = [
        f"SELECT '{table}', count(*) || ' ' || coalesce(md5(string_agg(r::text, '' ORDER BY r::text)), '')"
        f" FROM (SELECT {columns} FROM {table}) r"
        for table, columns in DIGESTS.items()
    ]
    rows = release.sql(" UNION ALL ".join(parts)).splitlines()
    return dict(row.split("|", 1) for row in rows)


def empty(release: Release) -> None:
    """Forget everything that was loaded, offsets included, so that the consumer loads the topic anew."""
    release.sql(f"TRUNCATE {', '.join(DIGESTS)}, ingest_offsets CASCADE")

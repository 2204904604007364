"""Where the documents lie, and what can be read out of Markdown."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "movie-pipeline"

SHELLS = {"", "sh", "bash", "console", "shell"}
OPERATORS = {"|", "||", "&", "&&", ";", "(", ")", "<", ">", ">>", "2>"}


class Block(NamedTuple):
    """A fenced block: the words after its fence, its text, and the line of the fence."""

    info: tuple[str, ...]
    text: str
    line: int


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that the repository holds, or would hold after `git add`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout.decode().split("\0")
    return tuple(path for name in sorted(set(names)) if name and (path := ROOT / name).is_file())


def documents() -> list[Path]:
    """Every Markdown file of the repository."""
    return [path for path in tracked() if path.suffix == ".md"]


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a document, in order."""
    fence = re.compile(r"^( *)(`{3,})([^\n`]*)\n(.*?)^\1\2`* *$", re.MULTILINE | re.DOTALL)
    return [
        Block(tuple(match[3].split()), match[4], text[: match.start()].count("\n") + 1)
        for match in fence.finditer(text)
    ]


def prose(text: str) -> str:
    """The document without its fenced blocks."""
    return re.sub(r"^( *)(`{3,})[^\n`]*\n.*?^\1\2`* *$", "", text, flags=re.MULTILINE | re.DOTALL)


def links(text: str) -> list[str]:
    """The targets of inline links and pictures."""
    plain = re.sub(r"`[^`\n]*`", "", prose(text))
    return re.findall(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)", plain)


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to a document's headings, and those set by hand."""
    found: set[str] = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))
    counts: dict[str, int] = {}
    for title in re.findall(r"^#{1,6} +(.+?) *#*$", prose(text), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "").lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        seen = counts.get(slug, 0)
        counts[slug] = seen + 1
        found.add(f"{slug}-{seen}" if seen else slug)
    return found


def commands(text: str) -> Iterator[list[str]]:
    """Every command line of a document's shell blocks and of its inline code, cut at shell operators."""
    for block in blocks(text):
        if (block.info or ("",))[0] in SHELLS:
            yield from _split(block.text)
    for code in re.findall(r"`([^`\n]+)`", prose(text)):
        yield from _split(code)


def _split(code: str) -> Iterator[list[str]]:
    for line in code.replace("\\\n", " ").splitlines():
        try:
            bare = re.sub(r"\s\d?[<>]{1,2}&?\s*\S+", " ", line.removeprefix("$ "))
            words = shlex.shlex(bare, posix=True, punctuation_chars=True)
            words.commenters = "#"
            words.whitespace_split = True
            tokens = list(words)
        except ValueError:
            continue  # prose, or part of a quoted text that goes over several lines
        command: list[str] = []
        for token in [*tokens, ";"]:
            if token in OPERATORS:
                if command:
                    yield command
                command = []
            else:
                command.append(token)


def program_calls(words: list[str]) -> list[list[str]]:
    """The arguments of each call of `movie-pipeline` in a command: directly, or in a Compose service or a pod."""
    for position, word in enumerate(words):
        if word == "movie-pipeline" or word.endswith("/bin/movie-pipeline"):
            return [words[position + 1 :]] if not _is_argument(words, position) else []
    if words[:2] == ["docker", "compose"] and "run" in words:
        rest = [word for word in words[words.index("run") + 1 :] if not word.startswith("-")]
        return [rest[1:]] if rest and rest[0] in {"consumer", "migrate", "sample-api"} and rest[1:] else []
    return []


def _is_argument(words: list[str], position: int) -> bool:
    """Whether the word is a name that other programs are given: a release, a chart, a cluster."""
    before = words[:position]
    runners = {"env", "exec", "nice", "time", "timeout", "sudo", "xargs"}
    if not before or "--" in before or all("=" in word for word in before):
        return False
    return not (before[0] in runners or before[:2] in (["docker", "compose"], ["kubectl", "exec"]))

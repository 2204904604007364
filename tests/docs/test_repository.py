"""What must not lie in the repository: addresses of registries, paths of a machine."""

import re

import pytest

from .places import ROOT, tracked

TEXTS = {
    ".md",
    ".py",
    ".yaml",
    ".yml",
    ".toml",
    ".txt",
    ".json",
    ".sh",
    ".lock",
    ".cfg",
    ".html",
    ".js",
    ".css",
    ".j2",
    "",
}
REGISTRY_HOSTS = (
    "files.pythonhosted.org",
    "pypi.org/simple",
    "registry.npmjs.org",
    "repo1.maven.org",
    "repo.maven.apache.org",
    "proxy.golang.org",
    "deb.debian.org",
)
# Homes and work folders: no user has the same ones.
MACHINE_PATH = re.compile(r"(?<![\w.$}/-])/(?:work|root|home/\w+|Users/\w+)/[\w.]")
MAY_NAME_SHARED = (".ci/run", "tests/")
HERE = "tests/docs/test_repository.py"


def _texts():
    for path in tracked():
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in TEXTS and name not in {HERE, "LICENSE"} and path.stat().st_size < 2_000_000:
            try:
                yield name, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue  # a binary file without a suffix


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_lock_files_hold_hashes_and_no_address(path):
    text = path.read_text(encoding="utf-8")
    assert "--hash=sha256:" in text
    assert "://" not in text


def test_no_file_names_a_registry_host():
    assert [(name, host) for name, text in _texts() for host in REGISTRY_HOSTS if host in text] == []


def test_no_file_names_a_path_of_a_machine():
    assert [(name, found[0]) for name, text in _texts() if (found := MACHINE_PATH.search(text))] == []


def test_only_tests_look_beside_the_project():
    beside = "../" + "shared"
    found = [name for name, text in _texts() if beside in text]
    assert [name for name in found if not name.startswith(MAY_NAME_SHARED)] == []


@pytest.mark.parametrize("text", ["see /work/main/x", "(/root/.cache)", "at /home/ann/data"])
def test_a_path_of_a_machine_is_recognised(text):
    assert MACHINE_PATH.search(text)


@pytest.mark.parametrize("text", ["/workers/x", "https://example.org/root/x", "$HOME/work/x", "/3/movie/popular"])
def test_other_paths_are_not(text):
    assert not MACHINE_PATH.search(text)

"""Every command that a document, a manifest or an image names exists and parses."""

import json
import re
import shlex

import pytest
import yaml

from movie_pipeline import errors
from movie_pipeline.cli import build_parser

from .places import CHART, ROOT, commands, documents, program_calls

PLACEHOLDERS = {"N": "1", "ID": "1", "DATE": "2026-01-01", "YYYY-MM-DD": "2026-01-01", "550": "550"}
TARGETS = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
GUIDES = [path for path in documents() if path.name != "CHANGELOG.md"]


def parses(arguments: list[str]) -> bool:
    """Whether the command line takes these arguments; placeholders count as values."""
    if arguments in ([], ["--help"], ["--version"]) or arguments[-1] == "--help":
        return not arguments or arguments[0].startswith("-") or arguments[0] in verbs()
    try:
        build_parser().parse_args([PLACEHOLDERS.get(word, word) for word in arguments])
    except SystemExit:
        return False
    return True


def verbs() -> set[str]:
    choices = next(action.choices for action in build_parser()._actions if action.dest == "verb")
    return set(choices or ())


def documented_calls():
    for path in GUIDES:
        name = str(path.relative_to(ROOT))
        for words in commands(path.read_text(encoding="utf-8")):
            for arguments in program_calls(words):
                yield pytest.param(arguments, id=f"{name}: {' '.join(arguments)}")


def documented_targets():
    for path in GUIDES:
        name = str(path.relative_to(ROOT))
        for words in commands(path.read_text(encoding="utf-8")):
            if words[0] == "make":
                asked = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
                yield from (pytest.param(target, id=f"{name}: make {target}") for target in asked)


@pytest.mark.parametrize("arguments", list(documented_calls()))
def test_commands_of_the_documents_parse(arguments):
    assert parses(arguments)


@pytest.mark.parametrize("target", list(documented_targets()))
def test_make_targets_of_the_documents_exist(target):
    assert target in TARGETS


def test_the_documents_call_every_verb():
    called = {call.values[0][0] for call in documented_calls() if call.values[0]}
    assert verbs() <= called


def test_commands_of_the_compose_file_parse():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    ours = {name: service for name, service in services.items() if "movie-pipeline/" in str(service.get("image"))}
    calls = [service["command"] for service in ours.values() if "entrypoint" not in service]
    programs = [command for command in calls if command[0] in verbs()]
    assert len(programs) >= 3
    assert all(parses(command) for command in programs)
    scripts = [service["command"][0] for service in ours.values() if "entrypoint" in service]
    in_scripts = [
        arguments
        for script in scripts
        for line in script.replace("$$", "").splitlines()
        for arguments in program_calls(shlex.split(line.partition("&")[0].replace("PRODUCE_PAGES", "5")))
    ]
    assert in_scripts
    assert all(parses(arguments) for arguments in in_scripts)


def test_arguments_in_the_charts_values_parse():
    def found(node):
        if isinstance(node, dict):
            for key, value in node.items():
                if key == "args" and isinstance(value, list):
                    yield value
                else:
                    yield from found(value)

    values = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(CHART.glob("values*.yaml"))]
    calls = [arguments for content in values for arguments in found(content)]
    assert len(calls) >= 4
    assert all(parses(arguments) for arguments in calls)


def test_commands_of_the_dag_parse():
    text = (ROOT / "dags" / "tmdb_pipeline.py").read_text(encoding="utf-8")
    calls = re.findall(r'Command\(\s*"([^"]+)"', text)
    assert len(calls) >= 10
    assert all(parses(re.sub(r"\{\{.*?\}\}", "1", call).split()) for call in calls)


def test_default_commands_of_the_images_parse():
    calls = re.findall(r"^CMD (\[.*\])$", (ROOT / "images" / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert calls
    assert all(parses(json.loads(call)) for call in calls)


def test_exit_codes_are_those_of_the_errors():
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| (\d+) \| ([^|]+?) \|", text, re.MULTILINE))
    assert set(told) == {"0", "1", "2", "3", "130"}
    assert errors.PipelineError.exit_code == 1
    assert "failed" in told["1"]
    assert errors.ConfigurationError.exit_code == 2
    assert "wrong" in told["2"]
    assert "degraded" in told["3"]


@pytest.mark.parametrize(
    "line", ["movie-pipeline produc --all", "movie-pipeline produce --pages 0", "FOO=1 movie-pipeline x"]
)
def test_a_wrong_command_is_found_out(line):
    (words,) = commands(f"```sh\n{line}\n```\n")
    (arguments,) = program_calls(words)
    assert not parses(arguments)


def test_measurements_that_documents_name_exist():
    texts = [path.read_text(encoding="utf-8") for path in GUIDES]
    named = {name for text in texts for names in re.findall(r"BENCH=\"?([a-z_ ]+)", text) for name in names.split()}
    assert named
    assert {name for name in named if not (ROOT / "benchmarks" / f"{name}.py").is_file()} == set()

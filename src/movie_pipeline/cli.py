"""The command line: parse, wire, run, exit code. Nothing else exits.

Exit codes: 0 done; 1 failed, a retry may help; 2 wrong usage, settings or key, a retry cannot help; 3 finished
degraded.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from datetime import date
from math import inf
from pathlib import Path
from typing import Any

from movie_pipeline import __version__, logs
from movie_pipeline import settings as settings_module
from movie_pipeline.errors import PipelineError
from movie_pipeline.settings import Settings

INTERRUPTED = 130

Handler = Callable[[Settings, argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    options = build_parser().parse_args(arguments)
    try:
        overrides = {name: value for name in ("run_id", "output_dir") if (value := getattr(options, name, None))}
        settings = settings_module.load(**overrides)
        logs.configure(settings)
        handler: Handler = options.handler
        return handler(settings, options)
    except PipelineError as error:
        print(f"movie-pipeline {options.verb}: {logs.redact(str(error))}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"movie-pipeline {options.verb}: interrupted", file=sys.stderr)
        return INTERRUPTED


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs; every one has `handler(settings, options) -> exit code` set."""
    parser = argparse.ArgumentParser(
        prog="movie-pipeline",
        description="Films from TMDB through Kafka and Dask into PostgreSQL, charts and a success model.",
        epilog=_settings_help(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"movie-pipeline {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for add in (_demo, _produce, _consume, _process, _charts, _train, _predict, _report, _replay, _migrate, _status):
        add(verbs)
    _sample_api(verbs)
    return parser


def _verb(verbs: Any, name: str, text: str, handler: Handler) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text)
    parser.set_defaults(handler=handler)
    return parser


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run-id", help="identity of the run, shared by the verbs of one pipeline run (RUN_ID)")
    parser.add_argument("--output-dir", type=Path, help="where files go (OUTPUT_DIR)")


def _demo(verbs: Any) -> None:
    def handle(settings: Settings, options: argparse.Namespace) -> int:
        from movie_pipeline.wiring.demo import demo

        return demo(settings, keep=options.keep, data=options.data, state_dir=options.state_dir)

    parser = _verb(
        verbs, "demo", "Run everything on this machine: broker, database, films, charts, model, report", handle
    )
    parser.add_argument("--keep", action="store_true", help="leave broker and database up until Ctrl-C")
    parser.add_argument(
        "--data", type=Path, help="films to use instead of the packaged sample (JSON lines, may be gzip)"
    )
    parser.add_argument("--state-dir", type=Path, help="where broker and database keep their data between runs")
    parser.add_argument("--output-dir", type=Path, help="where files go (OUTPUT_DIR)")


def _produce(verbs: Any) -> None:
    def handle(settings: Settings, options: argparse.Namespace) -> int:
        from movie_pipeline.wiring.produce import produce

        return produce(
            settings,
            pages=options.pages,
            changes=options.changes,
            since=options.since,
            everything=options.all,
            ids=options.ids,
            refresh=options.refresh,
        )

    parser = _verb(verbs, "produce", "Fetch films from TMDB, back them up and publish them to Kafka", handle)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--popular", action="store_true", help="the popular list (default)")
    mode.add_argument("--changes", action="store_true", help="what changed at TMDB since the last run, or --since")
    mode.add_argument("--all", action="store_true", help="the whole catalogue, by the daily id export")
    mode.add_argument("--ids", type=Path, metavar="FILE", help="the ids in a file, one a line; - for standard input")
    mode.add_argument("--refresh", action="store_true", help="films fetched longer ago than REFRESH_DAYS")
    parser.add_argument(
        "--pages", type=_positive, default=500, help="pages of the popular list, 20 films each (500 at most)"
    )
    parser.add_argument("--since", type=_day, metavar="YYYY-MM-DD", help="first day for --changes")
    _run_options(parser)


def _consume(verbs: Any) -> None:
    def handle(settings: Settings, options: argparse.Namespace) -> int:
        from movie_pipeline.wiring.consume import consume

        return consume(settings, follow=options.follow, reset=options.reset, bulk=options.bulk)

    parser = _verb(verbs, "consume", "Load the films of the topic into PostgreSQL", handle)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--until-end", action="store_true", help="load what the topic holds now, then end (default)")
    mode.add_argument("--follow", action="store_true", help="go on loading what comes, until SIGTERM")
    parser.add_argument("--reset", action="store_true", help="start again from what the topic holds")
    parser.add_argument(
        "--bulk", action="store_true", help="first load of an empty database: keys after rows; needs the owner's role"
    )
    _run_options(parser)


def _process(verbs: Any) -> None:
    def handle(settings: Settings, options: argparse.Namespace) -> int:
        from movie_pipeline.wiring.process import process

        return process(settings, alternative=options.alternative)

    parser = _verb(
        verbs, "process", "Write movies_data.json and processed_movies_v2.csv from the topic's films", handle
    )
    parser.add_argument(
        "--alternative", action="store_true", help="without Kafka: from PostgreSQL, else the backups, else the sample"
    )
    _run_options(parser)


def _charts(verbs: Any) -> None:
    def handle(settings: Settings, _options: argparse.Namespace) -> int:
        from movie_pipeline.wiring.analyse import charts

        return charts(settings)

    _run_options(_verb(verbs, "charts", "Draw the charts into visualizations_v2_{date}_{time}", handle))


def _train(verbs: Any) -> None:
    def handle(settings: Settings, _options: argparse.Namespace) -> int:
        from movie_pipeline.wiring.analyse import train

        return train(settings)

    _run_options(_verb(verbs, "train", "Train the success model into ml_model_v2_{date}_{time}", handle))


def _report(verbs: Any) -> None:
    def handle(settings: Settings, _options: argparse.Namespace) -> int:
        from movie_pipeline.wiring.analyse import report

        return report(settings)

    _run_options(_verb(verbs, "report", "Write report.html and report.txt", handle))


def _predict(verbs: Any) -> None:
    def handle(settings: Settings, options: argparse.Namespace) -> int:
        from movie_pipeline.wiring.predict import predict

        return predict(settings, movie_id=options.id, json_file=options.json, csv_file=options.csv, model=options.model)

    parser = _verb(verbs, "predict", "Predict a film's success with its interval", handle)
    film = parser.add_mutually_exclusive_group(required=True)
    film.add_argument("--id", type=_positive, help="a film of the database, by TMDB id")
    film.add_argument(
        "--json", type=Path, metavar="FILE", help="a film, or a list of films, as JSON; - for standard input"
    )
    film.add_argument("--csv", type=Path, metavar="FILE", help="films as CSV with a header; - for standard input")
    parser.add_argument("--model", type=Path, help="model folder or .skops file (default: the latest)")
    parser.add_argument("--output-dir", type=Path, help="where the models are (OUTPUT_DIR)")


def _replay(verbs: Any) -> None:
    def handle(settings: Settings, options: argparse.Namespace) -> int:
        from movie_pipeline.wiring.produce import replay

        return replay(settings, dead_letters=options.dead_letters, listing=options.list)

    parser = _verb(verbs, "replay", "Publish backups, or dead letters after a fix", handle)
    parser.add_argument("--dead-letters", action="store_true", help="the dead-letter topic instead of the backups")
    parser.add_argument("--list", action="store_true", help="only show what would be replayed")
    _run_options(parser)


def _migrate(verbs: Any) -> None:
    def handle(settings: Settings, options: argparse.Namespace) -> int:
        from movie_pipeline.wiring.database import migrate

        return migrate(settings, raw=options.raw)

    parser = _verb(verbs, "migrate", "Create or upgrade the database schema, and APP_ROLE", handle)
    parser.add_argument("--raw", action="store_true", help="an empty database by plain SQL, without Alembic")


def _status(verbs: Any) -> None:
    def handle(settings: Settings, options: argparse.Namespace) -> int:
        from movie_pipeline.wiring.database import status

        return status(settings, check=options.check)

    parser = _verb(verbs, "status", "Say what runs, how much is loaded, and how far loading is behind", handle)
    parser.add_argument(
        "--check", choices=("kafka", "postgres", "tmdb"), help="only whether this one answers (exit code)"
    )
    parser.add_argument("--run-id", help="show the record of this run")


def _sample_api(verbs: Any) -> None:
    def handle(settings: Settings, options: argparse.Namespace) -> int:
        from movie_pipeline.wiring.produce import sample_api

        return sample_api(settings, options)

    parser = _verb(verbs, "sample-api", "Serve TMDB's API over a file of films, with faults on demand", handle)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=_port, default=8000, help="port to listen on; 0 takes a free one")
    parser.add_argument(
        "--data", type=Path, help="films to serve (JSON lines, may be gzip); default: the packaged sample"
    )
    parser.add_argument("--latency-ms", type=_not_negative, default=0.0, help="wait before each answer")
    parser.add_argument("--error-rate", type=_share, default=0.0, help="share of answers that are a 5xx")
    parser.add_argument("--cut-rate", type=_share, default=0.0, help="share of bodies that break off")
    parser.add_argument("--rate-limit", type=_whole, default=0, help="requests a second before 429; 0 has no limit")
    parser.add_argument("--no-export", action="store_true", help="answer 404 for today's id export")


def _checked(convert: Callable[[str], Any], allowed: str, holds: Callable[[Any], bool] = lambda _: True) -> Any:
    """Return an argument's type that says what it received and what is allowed."""

    def check(text: str) -> Any:
        try:
            value = convert(text)
        except ValueError:
            value = None
        if value is None or not holds(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {allowed}")
        return value

    return check


_positive = _checked(int, "a whole number from 1", lambda number: number >= 1)
_whole = _checked(int, "a whole number from 0", lambda number: number >= 0)
_port = _checked(int, "a port: 0 to 65535, where 0 takes a free one", range(65536).__contains__)
_share = _checked(float, "a share from 0 to 1", lambda number: 0 <= number <= 1)
_not_negative = _checked(float, "a number from 0", lambda number: 0 <= number < inf)
_day = _checked(date.fromisoformat, "a day such as 2026-01-31")


def _settings_help() -> str:
    lines = [f"  {name.upper():28}{field.description}" for name, field in Settings.model_fields.items()]
    return "Settings (environment variables):\n" + "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

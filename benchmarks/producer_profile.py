"""Where the producer's CPU time goes: one thread, real films, a real broker, time of that thread by `thread_time`.

python -m benchmarks.producer_profile        prints `profile.<cost> ms-per-film` lines, largest first
"""

import cProfile
import pstats
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psutil

from benchmarks.producing import parts, put_first, served

FILMS = 1_000
COSTS = {
    ("sessions.py", "send"): "http_client",
    ("backups.py", "save"): "backup_file",
    ("~", "<built-in method posix.fsync>"): "backup_file",
    ("~", "<built-in method posix.replace>"): "backup_file",
    ("kafka.py", "publish"): "kafka_queue",
    ("~", "<orjson.loads>"): "json_in",
    ("messages.py", "build"): "message",
    ("messages.py", "encode"): "message",
    ("rate.py", "acquire"): "limiter",
}
"""Function by file and name: the cost that its cumulative time counts as."""


def main() -> None:
    """Print each cost in milliseconds of CPU for a film, and what the Kafka sender's thread takes besides."""
    from movie_pipeline import messages
    from movie_pipeline.adapters.backups import FileBackups
    from movie_pipeline.adapters.kafka import KafkaAddress, KafkaPublisher
    from movie_pipeline.adapters.rate import ThreadLimiter
    from movie_pipeline.adapters.tmdb import TmdbSource
    from movie_pipeline.jobs.delivery import CHECKPOINT_FILMS

    with tempfile.TemporaryDirectory() as name, parts(Path(name)) as found, served() as api:
        limiter = ThreadLimiter(1_000_000)
        source = TmdbSource(api_url=f"{api.base}/3", export_url="", limiter=limiter, token="any")
        publisher = KafkaPublisher(KafkaAddress(found.kafka), topic="films", dlq_topic="films.dlq")
        backups = FileBackups(Path(name) / "out")
        with closing(source), closing(publisher):
            publisher.ensure_topics()
            ids = [movie_id for page in range(1, FILMS // 20 + 1) for movie_id in source.popular_ids(page)[0]]
            for movie_id in ids:
                source.details(movie_id)  # the server's cache is warm afterwards
            put_first(psutil.Process())
            profile = cProfile.Profile(time.thread_time)
            process, thread = time.process_time(), time.thread_time()
            profile.enable()
            for number, movie_id in enumerate(ids, 1):
                message = messages.build(source.details(movie_id), fetched_at=messages.SAMPLE_FETCHED_AT)
                content = messages.encode(message)
                backups.save(movie_id, content)
                if number % CHECKPOINT_FILMS == 0:
                    backups.commit()
                publisher.publish("films", messages.key_of(movie_id), content, messages.headers("sample", "bench"))
            profile.disable()
            thread = time.thread_time() - thread
            publisher.flush()
            process = time.process_time() - process
    costs = cumulative(profile)
    costs["kafka_sender_thread"] = process - thread
    for cost, seconds in sorted(costs.items(), key=lambda item: -item[1]):
        print(f"profile.{cost} {seconds / FILMS * 1_000:.3f} ms-per-film", flush=True)


def cumulative(profile: cProfile.Profile) -> dict[str, float]:
    """Return the cumulative seconds of each named cost."""
    found: dict[str, float] = dict.fromkeys(COSTS.values(), 0.0)
    for (file, _, function), (_, _, _, seconds, _) in pstats.Stats(profile).stats.items():
        cost = COSTS.get((Path(file).name, function))
        if cost:
            found[cost] += seconds
    return found


if __name__ == "__main__":
    main()

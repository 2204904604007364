"""Errors, classed by what a caller can do about them.

    PipelineError                exit code 1
    ├── RetryLaterError          the same call may succeed later
    │   ├── SourceUnavailableError      TMDB: 429, 5xx, time-out, cut connection
    │   ├── BrokerUnavailableError      Kafka cannot be reached
    │   └── DatabaseUnavailableError    PostgreSQL cannot be reached, or asks for a retry
    ├── SkippedItemError         this one item is given up, the others go on
    │   ├── FilmNotFoundError           TMDB says 404
    │   └── InvalidMessageError         a record for the dead-letter topic
    ├── ConfigurationError       exit code 2: a retry cannot help until somebody changes something
    │   └── InvalidKeyError             TMDB refuses the key
    ├── StateConflictError       what is stored disagrees with what is found; nothing was written
    └── OutputError              a file or folder cannot be written

Every message says what was received, what is allowed, and the fix.
"""


class PipelineError(Exception):
    """Base of all errors that the command line reports as one line; carries its exit code."""

    exit_code = 1


class RetryLaterError(PipelineError):
    """Something outside is away; the same call may succeed later."""


class SourceUnavailableError(RetryLaterError):
    """TMDB did not answer usefully within the retry budget."""


class BrokerUnavailableError(RetryLaterError):
    """Kafka cannot be reached or does not acknowledge."""


class DatabaseUnavailableError(RetryLaterError):
    """PostgreSQL cannot be reached, is starting, or asks for the transaction again."""


class SkippedItemError(PipelineError):
    """One item is given up and recorded; the rest of the work goes on."""


class FilmNotFoundError(SkippedItemError):
    """TMDB has no film under this id (any more)."""


class InvalidMessageError(SkippedItemError):
    """A record that breaks the message contract and belongs to the dead-letter topic."""


class ConfigurationError(PipelineError):
    """A setting, an argument or a key is wrong; a retry cannot help."""

    exit_code = 2


class InvalidKeyError(ConfigurationError):
    """TMDB refused the token or key."""


class StateConflictError(PipelineError):
    """Stored state disagrees with what was found (topic recreated, schema version, lost offsets)."""


class OutputError(PipelineError):
    """A file or folder cannot be written."""

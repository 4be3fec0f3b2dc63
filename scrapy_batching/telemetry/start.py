"""What is said of the server before a crawl."""

from scrapy_batching.errors import StartCheckFailed
from scrapy_batching.saying import logger_of

logger = logger_of(__name__)


class StartTelemetry:
    """Facts of BATCHING_START_CHECK. `spider` goes with each log line."""

    def __init__(self, *, spider: object) -> None:
        self._extra = {"spider": spider}

    def ready(self, url: str) -> None:
        """Nothing speaks against the crawl."""
        logger.info("batching: the ingestion server at %s is ready for this crawl", url, extra=self._extra)

    def maybe_not_ready(self, url: str, finding: str) -> None:
        """Something is wrong if the spider yields dicts, which nobody knows yet."""
        logger.warning(
            "batching: if this spider yields dicts, they go to the table with its name, and of the ingestion server at"
            " %s is to be said: %s",
            *(url, finding),
            extra=self._extra,
        )

    def not_ready(self, failure: StartCheckFailed, *, fails: bool) -> None:
        """The server cannot take the crawl's items, which ends the crawl if it `fails`."""
        if fails:
            logger.error(
                "batching: %s; the crawl ends here (BATCHING_START_CHECK = 'fail')", failure, extra=self._extra
            )
        else:
            logger.warning("batching: %s; the crawl goes on and its items wait", failure, extra=self._extra)

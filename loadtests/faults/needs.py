"""What a round must have set up for its faults, and that it cannot be had."""

from dataclasses import dataclass


class NotPossible(Exception):
    """Neither machine nor account allow it; the fault is listed as not run, with the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Needs:
    """The set-up of a round.

    `power` and `crawl_power`: servers, or crawls, note what is durable. `file_limits`: their files may not grow for a while.
    `small_disk` names what lies on a small disk: journal, spool or postgres.
    """

    servers: int = 1
    http_proxy: bool = False
    sql_proxy: bool = False
    power: bool = False
    crawl_power: bool = False
    file_limits: bool = False
    clock: bool = False
    kills_crawls: bool = False
    """Whether it ends crawls without giving them time; no set-up, but what does not go with a full disk of theirs."""
    small_disk: str = ""

    def and_(self, other: "Needs") -> "Needs":
        """The set-up that serves both. Raises `NotPossible` where there is none."""
        if self.small_disk and other.small_disk and self.small_disk != other.small_disk:
            raise NotPossible("one small disk a round")
        both = Needs(
            servers=max(self.servers, other.servers),
            http_proxy=self.http_proxy or other.http_proxy,
            sql_proxy=self.sql_proxy or other.sql_proxy,
            power=self.power or other.power,
            crawl_power=self.crawl_power or other.crawl_power,
            file_limits=self.file_limits or other.file_limits,
            clock=self.clock or other.clock,
            kills_crawls=self.kills_crawls or other.kills_crawls,
            small_disk=self.small_disk or other.small_disk,
        )
        if both.kills_crawls and (both.small_disk == "spool" or both.file_limits):
            raise NotPossible(
                "a crawl whose disk is full holds items in memory, and a killed one loses them: documented"
            )
        if (both.power or both.crawl_power) and (both.small_disk in {"journal", "spool"} or both.file_limits):
            raise NotPossible("what is noted for a power loss needs a disk with room")
        return both


NOTHING = Needs()

"""What the tests of dead letters ask again and again."""

import json
from dataclasses import dataclass
from typing import Any

from tests.asking import Answer, Asker

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
NOBODY = "0190a7e4-1111-7222-8333-444455556666"


@dataclass(frozen=True)
class Letters:
    """Dead letters over HTTP."""

    asker: Asker

    def bury(self, table: str, *items: object, **headers: str) -> list[dict[str, Any]]:
        """Send items, and say which of them became dead letters, in their order."""
        view = self.asker.send(table, *items, prefer="wait=30", **headers).json
        return [self.asker.get(f"/v1/dead-letters/{error['dead_letter']}").json for error in view["errors"]]

    def listed(self, **query: str) -> list[dict[str, Any]]:
        text = "&".join(f"{name}={value}" for name, value in query.items())
        return self.asker.get(f"/v1/dead-letters?{text}").json["dead_letters"]

    def show(self, letter: str) -> Answer:
        return self.asker.get(f"/v1/dead-letters/{letter}")

    def retry(self, letter: str, item: object = None, **headers: str) -> Answer:
        body = json.dumps({} if item is None else {"item": item})
        named = {name.replace("_", "-").title(): value for name, value in headers.items()}
        return self.asker.ask("POST", f"/v1/dead-letters/{letter}/retry", body, JSON | named)

    def retry_group(self, **wanted: str) -> Answer:
        return self.asker.ask("POST", "/v1/dead-letters/retry", json.dumps(wanted), JSON)

    def delete(self, letter: str) -> Answer:
        return self.asker.ask("DELETE", f"/v1/dead-letters/{letter}")

    def export(self, **query: str) -> bytes:
        text = "&".join(f"{name}={value}" for name, value in query.items())
        return self.asker.get(f"/v1/dead-letters?{text}", accept="application/x-ndjson").body

    def put_in(self, body: bytes) -> Answer:
        return self.asker.ask("POST", "/v1/dead-letters", body, NDJSON)

    def crawl(self, crawl: str) -> dict[str, Any]:
        """The crawl's totals, which add up."""
        view = self.asker.get(f"/v1/crawls/{crawl}").json
        assert view["total"] == view["processed"] + view["pending"]
        assert view["processed"] == view["succeeded"] + view["failed"]
        assert view["succeeded"] == view["inserted"] + view["updated"] + view["unchanged"]
        assert min(view[name] for name in ("succeeded", "failed", "inserted", "updated", "unchanged")) >= 0
        return view


def line(**changes: object) -> dict[str, Any]:
    """A letter as an export has it; `...` leaves a member out."""
    usual = {
        "id": NOBODY,
        "table": "things",
        "batch": NOBODY,
        "crawl": None,
        "index": 0,
        "code": "invalid",
        "column": None,
        "message": "no",
        "item": {"a": 1},
        "attempts": 1,
        "created_at": "2026-01-01T12:00:00Z",
    }
    return {name: value for name, value in (usual | changes).items() if value is not ...}

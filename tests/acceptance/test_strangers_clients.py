"""Clients that nobody here wrote, as their own documentation uses them."""

import json
import urllib.request

import requests

from tests.running import RunningServer

ITEMS = [{"label": "a"}, {"label": "b", "more": [1, {"deep": None}]}]


def test_requests_sends_json_and_streams_ndjson(server: RunningServer) -> None:
    with requests.Session() as session:
        url = f"{server.url}/v1/tables/by_requests/batches"
        whole = session.post(url, json=ITEMS, headers={"Prefer": "wait=30"}, timeout=40)
        assert (whole.status_code, whole.json()["inserted"]) == (200, 2)
        # A generator makes requests send chunks without a Content-Length.
        lines = (json.dumps(item).encode() + b"\n" for item in ITEMS)
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": '"quoted"', "Prefer": "wait=30"}
        chunked = session.post(url, data=lines, headers=headers, timeout=40)
        assert (chunked.status_code, chunked.json()["inserted"]) == (200, 2)
        found = session.get(f"{server.url}/v1/batches/{chunked.json()['id']}", timeout=40)
        assert (found.status_code, found.json()["status"]) == (200, "completed")


def test_the_standard_library_s_client_is_served(server: RunningServer) -> None:
    request = urllib.request.Request(
        f"{server.url}/v1/tables/by_urllib/batches",
        data=json.dumps({"items": ITEMS}).encode(),
        headers={"Content-Type": "application/json", "Prefer": "wait=30"},
    )
    with urllib.request.urlopen(request, timeout=40) as answer:
        assert (answer.status, json.load(answer)["total"]) == (200, 2)


def test_a_form_post_is_no_batch(server: RunningServer) -> None:
    """What any web page can make a browser send without asking."""
    url = f"{server.url}/v1/tables/by_form/batches"
    for body in ({"data": {"label": "a"}}, {"data": "label=a", "headers": {"Content-Type": "text/plain"}}):
        assert requests.post(url, timeout=40, **body).status_code == 415

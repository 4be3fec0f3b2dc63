"""A line for every request, where the operator asks for it. No headers, so no tokens, and no query."""

import logging

from aiohttp import abc, web

log = logging.getLogger("ingest_server.access")


class AccessLog(abc.AbstractAccessLogger):
    """Who asked for what, the answer's status and bytes, and how long it took, in seconds."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Called by aiohttp when the answer is sent."""
        path = request.rel_url.raw_path
        fields = {
            "peer": request.remote,
            "method": request.method,
            "path": path,
            "status": response.status,
            "bytes": response.body_length,
            "seconds": round(time, 6),
        }
        text = "%s %s %s %d, %d bytes, %.3f s"
        log.info(text, request.remote, request.method, path, response.status, response.body_length, time, extra=fields)

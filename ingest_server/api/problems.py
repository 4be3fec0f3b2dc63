"""Every error as application/problem+json (RFC 9457): no stack trace, no SQL, no item's content."""

import logging
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from ingest_server.api.context import CONTEXT
from ingest_server.api.views import ItemErrorView, ProblemView
from ingest_server.errors import RequestRefused, SinkError, Unauthorized
from ingest_server.model import ERRORS_KEPT

log = logging.getLogger("ingest_server.api")

MEDIA_TYPE = "application/problem+json"


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what handlers raise into problems."""
    context = request.app[CONTEXT]
    try:
        return await handler(request)
    except ConnectionError:  # the client has gone
        raise
    except RequestRefused as error:
        retry_after = error.retry_after
        if retry_after is None and error.status in (409, 503):
            retry_after = 1 if error.status == 409 else context.admission.retry_after()
        context.telemetry.request_refused(error.status, error.detail)
        response = problem(
            ProblemView(
                type=f"urn:scrapy-batching:problem:{error.kind}",
                title=error.title,
                status=error.status,
                detail=error.detail,
                limit=error.limit,
                limit_unit=error.limit_unit,
                table=error.table,
                errors=[ItemErrorView.of_refusal(one) for one in error.errors[:ERRORS_KEPT]] or None,
                retry_after=retry_after,
            )
        )
        if isinstance(error, Unauthorized):
            response.headers["WWW-Authenticate"] = 'Bearer realm="ingest-server"'
        return response
    except SinkError as error:
        context.telemetry.request_refused(503, error.reason)
        # the reason names the database's host and roles: it stays in the log
        return plain_problem(503, "PostgreSQL cannot be asked now", retry_after=context.admission.retry_after())
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = plain_problem(error.status, error.reason)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except Exception as error:
        log.error("unexpected %s in %s %s", type(error).__name__, request.method, request.path, exc_info=_frames(error))
        return plain_problem(500, "an error that is ours; the server's log says where")


def problem(view: ProblemView) -> web.Response:
    """The view as a response."""
    headers = {} if view.retry_after is None else {"Retry-After": str(view.retry_after)}
    return web.Response(
        body=view.model_dump_json(exclude_none=True).encode(),
        status=view.status,
        content_type=MEDIA_TYPE,
        headers=headers,
    )


def plain_problem(status: int, detail: str, *, retry_after: int | None = None) -> web.Response:
    """A problem that has no type of its own."""
    title = HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else "Error"
    return problem(ProblemView(type="about:blank", title=title, status=status, detail=detail, retry_after=retry_after))


def _frames(error: Exception) -> Exception:
    # The traceback helps; the text may hold an item's content.
    return RuntimeError("see the frames above").with_traceback(error.__traceback__)

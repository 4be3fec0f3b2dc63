"""The contract's JSON bodies: what handlers answer with, and what /openapi.json publishes."""

from ingest_server.api.views.batches import BatchesView, BatchView, ItemErrorView
from ingest_server.api.views.crawls import CrawlCloseBody, CrawlView
from ingest_server.api.views.dead_letters import (
    DeadLettersView,
    DeadLetterView,
    LetterGroupsView,
    LetterGroupView,
    LetterRetryBody,
    LettersImportView,
    LettersLeftView,
    LettersRetryBody,
    RetriesView,
)
from ingest_server.api.views.problems import ProblemView
from ingest_server.api.views.server import LiveView, ReadyView
from ingest_server.api.views.tables import ColumnView, ParkedView, ResumedView, TablesView, TableView

__all__ = [
    "BatchView",
    "BatchesView",
    "ColumnView",
    "CrawlCloseBody",
    "CrawlView",
    "DeadLetterView",
    "DeadLettersView",
    "ItemErrorView",
    "LetterGroupView",
    "LetterGroupsView",
    "LetterRetryBody",
    "LettersImportView",
    "LettersLeftView",
    "LettersRetryBody",
    "LiveView",
    "ParkedView",
    "ProblemView",
    "ReadyView",
    "ResumedView",
    "RetriesView",
    "TableView",
    "TablesView",
]

"""Who may come in now, what each body may take, and how much is worked on at the same time."""

from ingest_server.admission.door import Admission, check_size
from ingest_server.admission.gate import Gate
from ingest_server.admission.memory import Memory, keep_little
from ingest_server.admission.rate import DrainRate
from ingest_server.admission.relief import Relief
from ingest_server.admission.rooms import Room, Rooms

__all__ = ["Admission", "DrainRate", "Gate", "Memory", "Relief", "Room", "Rooms", "check_size", "keep_little"]

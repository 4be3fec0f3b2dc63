"""All faults, in the order in which a run takes them."""

from loadtests.faults import crawl_power, database, disk, jumps, network, owners, processes, promises
from loadtests.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (
    *processes.FAULTS,
    *owners.FAULTS,
    *database.FAULTS,
    *network.FAULTS,
    *disk.FAULTS,
    *crawl_power.FAULTS,
    *jumps.FAULTS,
    *promises.FAULTS,
)
BY_NAME = {fault.name: fault for fault in FAULTS}

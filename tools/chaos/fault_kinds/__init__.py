"""All faults; importing this package registers them."""

from tools.chaos.fault_kinds import messages, network, nodes, programs, servers

__all__ = ["messages", "network", "nodes", "programs", "servers"]

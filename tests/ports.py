"""Ports of this machine for services that tests start as processes; benchmarks take theirs the same way."""

from benchmarks.ports import free_port

__all__ = ["free_port"]

"""Room, see docs/guide/architecture.md."""

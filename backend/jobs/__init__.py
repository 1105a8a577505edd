"""The queue of jobs, and the worker that takes from it: claim, heartbeat, retry, cancel, events.

It knows no machine learning: a job has a kind and a payload, and `main` hands the worker a handler for each kind.
It knows no processes either: an executor of the room below runs the handler.
"""

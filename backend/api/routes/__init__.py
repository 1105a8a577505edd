"""One file a noun: parse the request, call one verb, shape the answer. `backend.api.ROUTERS` lists them.

A route knows neither torch nor SQL: what is heavy runs through the pool of `backend.api.services`.
"""

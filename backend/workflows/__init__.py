"""One file per product verb, each readable top to bottom.

These functions run in three places: the API process (import, listing), the inference process (predict, explain) and
the worker's child (training). Heavy rooms are imported inside the functions, because the API process must be up in a
second and must never hold torch.
"""

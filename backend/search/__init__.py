"""AutoML: which networks to try, each trial, the ranking. `backend.search.compare.compare` is the door.

This file imports nothing, so that listing candidates never loads torch.
"""

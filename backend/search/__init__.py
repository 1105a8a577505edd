"""AutoML: which networks to try, each trial, the ranking. `backend.search.compare.compare` is the door.

It knows neither jobs nor HTTP nor SQL, and no test label before the ranking stands. This file imports nothing, so that
listing candidates never loads torch.
"""

"""Processes that run work and can always be stopped: training in one, predictions in another.

It knows neither jobs' rows nor what the work is: functions are handed in by `main`, progress leaves through a pipe.
"""

"""Each module measures both sides in one run and prints a ratio; `python -m benchmarks` runs the quick ones.

What they build (competitors' environments, weights' files, parts of results) lies in `.bench/`, outside the code.
"""

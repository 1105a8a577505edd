"""A saved bundle in, an answer out: predictions, heat maps, familiarity, files to take away.

It never trains, and knows neither datasets nor the catalogue: a model is a folder.
"""

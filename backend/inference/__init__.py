"""A saved bundle in, an answer out: predictions, heat maps, familiarity, files to take away."""

"""torch and timm: the catalogue of networks, weights, features, heads, fine-tuning, metrics, bundles.

It takes arrays of prepared images and gives networks and numbers back; it knows neither which networks a run compares
nor where models are kept. This file imports nothing, so that listing the catalogue never loads torch.
"""

"""torch and timm: the catalogue of networks, weights, features, heads, fine-tuning, metrics, bundles.

This file imports nothing, so that listing the catalogue never loads torch.
"""

"""Measurements: ratios against a floor, all taken in one run on one machine."""

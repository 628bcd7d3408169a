"""The retraining of a derived network, top to bottom in `job.py`, and what it leaves.

Knows an architecture and nothing of the search that found it.
"""

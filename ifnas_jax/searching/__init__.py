"""The search, top to bottom in `job.py`: make it, train, prune, derive.

What is decided is asked of the method; what is written goes through `report`. Knows
nothing of retraining.
"""

"""A run on disk: its paths, whether it may begin or go on, who has it, its result.

Knows configs and architectures by their files; nothing of how a job computes, nor of
pages and figures.
"""

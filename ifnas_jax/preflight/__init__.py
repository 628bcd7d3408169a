"""Would a run's step fit TPUs that are not attached? A command, and its compiler.

Knows the jobs' steps by their shapes; opens no data and makes no parameter.
"""

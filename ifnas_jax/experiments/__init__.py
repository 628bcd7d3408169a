"""Every table and figure of the paper by one command, and tests of what it claims.

One file an experiment, which says what is run (`settings`) and what is shown of it.
Cells are ordinary runs, so this folder knows the jobs, and nothing knows this folder.
"""

"""What a person looks at: logs as they are written, progress, figures, pages.

Reads a run by the files in its workdir; decides nothing.
"""

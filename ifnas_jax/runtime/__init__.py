"""What a process runs on: devices, other processes, memory, what survives a kill.

Knows arrays and files; no space, no network, no method.
"""

"""Benchmarks: what the service can do on this machine, beside what the machine allows.

Every figure is taken next to the limit that it is compared with, in the same run and by turns, because a shared
machine is never the same machine twice. `python -m bench` lists the benchmarks; each prints a table and writes a JSON
file. Nothing here imports `push_service`: the service is started as a process and spoken to over its public
interface.
"""

"""The rules, and nothing else: no I/O, no clock, no randomness.

Time and entropy come in as arguments. Everything here can be read, tested and fuzzed without a server; `rules/` holds
one file a use case.
"""

"""Checks a configuration against the live parts: a file for each part, a small object for each thing to know.

A check only looks: it makes, migrates and repairs nothing, and it can be run beside a server. `rounds.py` lists them
all. A new part (a store, a bus, a provider) brings a file with its checks, and is added there.
"""

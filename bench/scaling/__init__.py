"""What scaling out costs: the service embedded and spread over processes, in one run, and where the difference goes.

`benchmark.py` is the whole sign-in, `parts.py` its hops alone, `population.py` the same with a million people more.
Tables for docs/scaling.md.
"""

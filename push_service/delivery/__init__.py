"""How a prompt reaches a person.

Over the device's socket now, by wake-up pushes and telephony where those are set up.
"""

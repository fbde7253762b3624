"""A gateway of the operator's own: one signed JSON request for each text and call (docs/protocol.md).

For a provider that has no adapter here, a small program in between is enough: it is posted what is to be sent, and
brings its news to the same addresses and in the same forms as Twilio does, signed by `signing.py`. `client.py` sends.
"""

"""Twilio's interface of 2010-04-01, by our own bounded client: docs/decisions/0020 says why not by theirs.

`client.py` sends, `errors.py` reads what is answered. Other providers speak this interface, too: BASE_URL leads there.
"""

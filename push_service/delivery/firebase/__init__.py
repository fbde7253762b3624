"""Wake-ups by Firebase Cloud Messaging, HTTP v1: a bridge of small parts.

`client.py` sends, `credentials.py` has the access tokens, `messages.py` writes what is sent, `errors.py` reads what is
answered, `settings.py` is what the operator says. Google's library is slow to import: only `core.py` imports the
client, and only where Firebase is set up (docs/decisions/0015).
"""

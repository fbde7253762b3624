"""Texts and calls by a telephony provider: ports.Telephony, and what the provider may tell us later.

`twilio/` and `gateway/` each speak to one kind of provider, over the bounded `exchange.py`; `limits.py` stands before
them against toll fraud, `watch.py` around both tells metrics, log and alarms. `wording/` has the sentences, `voice.py`
the documents that a call is conducted by, `signatures.py` who may bring news. Opened by `push_service/telephony.py`.
"""

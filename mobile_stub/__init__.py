"""The outside world in a box: phones that receive prompts, for development, demonstrations and tests.

The stub speaks the published device protocol and shares no code with the service, so an agreement between the two is an
agreement about the protocol. `mobile_stub.phone.Phone` is the library; `python -m mobile_stub` is the command line.
"""

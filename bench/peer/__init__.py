"""`peer`: the service beside privacyIDEA, an open service that does the same, on the same machine in one run.

Nothing of it is part of the project: it is installed from the package index into an environment of its own, configured
as its documentation says, and spoken to over its public interface only.
"""

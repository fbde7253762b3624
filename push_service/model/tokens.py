"""The bearer tokens of a sign-in: which sign-in each is for stands in it, and that it is so its stored hash decides."""

from __future__ import annotations

from push_service.model import ids
from push_service.model.ids import SignInId


def sign_in_of(token: str) -> SignInId:
    """Which sign-in a token says that it is for; whether it is, the token's hash decides."""
    return SignInId("si_" + token.partition("_")[2].partition(".")[0])


def registration_token(token: str) -> str:
    """The token of the same sign-in that opens its registration and nothing else.

    Made from the browser's, so that a page that was loaded again gets it again; the way back is a preimage of SHA-256.
    """
    name = token.partition("_")[2].partition(".")[0]
    return f"rt_{name}.{ids.digest('registration ' + token)}"


def browser_token(sign_in_id: SignInId) -> str:
    """A fresh token for whoever began the sign-in."""
    secret = ids.secret_token("").removeprefix("_")
    return f"bt_{sign_in_id.removeprefix('si_')}.{secret}"

"""The bearer tokens of a sign-in, and of a browser that is remembered.

What each is for stands in it, and that it is so its stored hash decides.
"""

from __future__ import annotations

from push_service.model import ids
from push_service.model.ids import BrowserId, SignInId


def sign_in_of(token: str) -> SignInId:
    """Which sign-in a token says that it is for; whether it is, the token's hash decides."""
    return SignInId("si_" + token.partition("_")[2].partition(".")[0])


def registration_token(token: str) -> str:
    """The token of the same sign-in that opens its registration and nothing else.

    Made from the browser's, so that a page that was loaded again gets it again; the way back is a preimage of SHA-256.
    """
    name = token.partition("_")[2].partition(".")[0]
    return f"rt_{name}.{ids.digest('registration ' + token)}"


def remembered_token(browser_id: BrowserId) -> str:
    """A fresh token for a browser that is to be remembered."""
    return f"rb_{browser_id.removeprefix('brw_')}.{ids.secret_token('').removeprefix('_')}"


def browser_of(token: str) -> BrowserId:
    """Which browser a token says that it is for."""
    return BrowserId("brw_" + token.partition("_")[2].partition(".")[0])


def token_after(token: str, salt: str) -> str:
    """The token that takes this one's place.

    Made from it, so that a request which is sent again gets the same one again; whoever only reads the salt in the
    store can't make it.
    """
    name = token.partition("_")[2].partition(".")[0]
    return f"rb_{name}.{ids.digest(f'{salt} {token}')}"


def browser_token(sign_in_id: SignInId) -> str:
    """A fresh token for whoever began the sign-in."""
    secret = ids.secret_token("").removeprefix("_")
    return f"bt_{sign_in_id.removeprefix('si_')}.{secret}"

"""What is sent: a data message with an opaque id, urgent, and of no use to anyone after the sign-in's time.

A push is a doorbell, not the letter: neither Google nor Apple nor a screen that is locked learns who signs in where.
`token` is set after the message is made: the constructor calls it deprecated in favour of Firebase installation ids,
which apps don't register with us.
"""

from __future__ import annotations

from datetime import timedelta

from firebase_admin import messaging

from push_service.model.instant import unix
from push_service.ports import Wake

VERSION = "1"
ALERT = "A sign-in is waiting"
"""The only text that anyone sees of it, on iPhones: without an alert iOS may keep the message for later."""
_SHORTEST_SECONDS = 1.0


def body(wake: Wake, *, only_validated: bool = False) -> bytes:
    """The body of `messages:send`. The phone's own half only, where the platform is one of the two.

    `only_validated`: it is looked at there, and not sent.
    """
    platform = wake.platform.casefold()
    message = messaging.Message(
        data={"v": VERSION, "wake": wake.id},
        android=None if platform == "ios" else _android(wake),
        apns=None if platform == "android" else _apple(wake),
    )
    message.token = wake.token
    validated = b'"validate_only":true,' if only_validated else b""
    return b'{%b"message":%b}' % (validated, str(message).encode())


def _android(wake: Wake) -> messaging.AndroidConfig:
    left = timedelta(seconds=max(_SHORTEST_SECONDS, wake.seconds))
    return messaging.AndroidConfig(priority="high", ttl=left, collapse_key=wake.id)


def _apple(wake: Wake) -> messaging.APNSConfig:
    headers = {
        "apns-priority": "10",
        "apns-push-type": "alert",
        "apns-expiration": str(unix(wake.expires_at)),
        "apns-collapse-id": wake.id,
    }
    aps = messaging.Aps(alert=ALERT, sound="default", content_available=True)
    return messaging.APNSConfig(headers=headers, payload=messaging.APNSPayload(aps=aps))

"""Clients without a second step, as an application asks for them; and app passwords, made without a page."""

from __future__ import annotations

import base64

from push_service.app_passwords import AppPasswords
from push_service.model.user import User

from .browser import Browser, Reply
from .people import Office

HERE = "192.0.2.10"
ELSEWHERE = "192.0.2.20"


async def sign_in(
    browser: Browser, username: str, password: str, purpose: object = "use", *, ip: str | None = HERE, **more: object
) -> Reply:
    """Ask for a client that shows this, from there."""
    client = {"ip": ip} if ip else {}
    body = {"username": username, "password": password, "purpose": purpose, "client": client} | more
    return await browser.request("POST", "/v1/client-sign-ins", headers=browser.identification, json=body)


async def app_password(desk: Office, user: User, name: str = "Mail") -> str:
    """A new app password, for somebody who is enforced."""
    core = desk.core
    user = await core.administrator.user(user.username)
    made = await AppPasswords(core.store, core.decisions, core.sealer.mac).make(user, name, None)
    return made.password


def basic(username: str, password: str) -> dict[str, str]:
    """HTTP Basic, in UTF-8 (RFC 7617)."""
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}

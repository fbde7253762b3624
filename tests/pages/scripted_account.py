"""A person's own settings, as the settings routes would tell them: a list of methods, and of app passwords."""

from dataclasses import dataclass, field
from typing import Final

import segno

from .answers import Answer, Json, Request, soon

MASKED: Final = "+XX XXXXXXX89"
SECRET: Final = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
APP_PASSWORD: Final = "qmzrwtkpbhsdvcxj"


def method(kind: str, label: str, target: str, *, primary: bool = False) -> Json:
    """A registered method."""
    return {"id": f"mth_{kind}", "method": kind, "label": label, "target": target, "primary": primary}


def registered() -> list[Json]:
    """What Alice has: the app on her phone, its codes, and her mobile number."""
    return [
        method("app_notification", "Notification from my app", "Alice's phone", primary=True),
        method("app_code", "Code from my app", "Alice's phone"),
        method("text_mobile", "Text code to my mobile phone", MASKED),
        method("call_mobile", "Call my mobile phone", MASKED),
    ]


@dataclass
class Account:
    """Alice's account; `answer` is what the service would say."""

    methods: list[Json] = field(default_factory=registered)
    devices: list[Json] = field(default_factory=lambda: [{"id": "dev_1", "name": "Alice's phone"}])
    suggested: Json = field(default_factory=lambda: {"mobile": None, "office": None})
    app_passwords: list[Json] = field(default_factory=list)
    browsers: list[Json] = field(default_factory=list)
    number: str | None = None
    """To be keyed in when a phone is called."""
    enrolments: int = 0

    def answer(self, request: Request) -> Answer | None:
        """What the settings answer as usual; None where there is no such route."""
        path = request.path.removeprefix("/v1/me").strip("/").split("/")
        if path[0] == "app-passwords":
            return self._kept(request, path[1:])
        if path[0] in {"phones", "authenticator-apps"}:
            return self._enrolled(request, path)
        return self._listed(request, path)

    def _listed(self, request: Request, path: list[str]) -> Answer | None:
        match request.method, path:
            case "GET", [""]:
                return Answer(self._me())
            case "PUT", ["primary-method"]:
                for each in self.methods:
                    each["primary"] = each["id"] == request.body["method_id"]
                return Answer(self._me())
            case "DELETE", ["methods", gone]:
                self.methods = [each for each in self.methods if each["id"] != gone]
                return Answer(None, 204)
            case "DELETE", ["browsers"]:
                self.browsers = []
                return Answer(None, 204)
            case _:
                return None

    def _enrolled(self, request: Request, path: list[str]) -> Answer | None:
        match path:
            case ["phones"]:
                return Answer(self._phone(request.body), 201)
            case ["authenticator-apps"]:
                return Answer(authenticator(), 201)
            case [_, _, "confirm"]:
                return Answer({})
            case _:
                return None

    def _kept(self, request: Request, path: list[str]) -> Answer | None:
        match request.method, path:
            case "GET", []:
                return Answer({"app_passwords": self.app_passwords})
            case "POST", []:
                made: Json = {"id": f"apw_{len(self.app_passwords)}", **request.body, "created_at": soon(0)}
                self.app_passwords.append(made | {"last_used_at": None, "last_used_from": None})
                return Answer(made | {"password": APP_PASSWORD}, 201)
            case "DELETE", [gone]:
                self.app_passwords = [each for each in self.app_passwords if each["id"] != gone]
                return Answer(None, 204)
            case _:
                return None

    def _me(self) -> Json:
        return {
            "id": "usr_1",
            "username": "alice",
            "state": "enforced",
            "methods": self.methods,
            "devices": self.devices,
            "suggested": self.suggested,
            "browsers": self.browsers,
        }

    def _phone(self, asked: Json) -> Json:
        self.enrolments += 1
        by_text = asked["kind"] == "mobile" and asked.get("by") != "call"
        kind = "text_mobile" if by_text else f"call_{asked['kind']}"
        prompt: Json = (
            {"kind": "enter_code", "digits": 6} if by_text else {"kind": "answer_call", "number": self.number}
        )
        enrolment: Json = {"id": f"enr_{self.enrolments}", "method": kind, "target": MASKED, "prompt": prompt}
        return enrolment | {"expires_at": soon(180)}


def browser(label: str = "Firefox on Windows") -> Json:
    """A browser that is remembered since yesterday."""
    return {"label": label, "remembered_at": soon(-86400), "used_at": None, "expires_at": soon(29 * 86400)}


def app_password(name: str, *, used: str | None = None) -> Json:
    """One that was made a month ago, and last used yesterday from there."""
    return {
        "id": f"apw_{name}",
        "name": name,
        "created_at": soon(-30 * 86400),
        "last_used_at": used and soon(-86400),
        "last_used_from": used,
    }


def authenticator(seconds: float = 600) -> Json:
    """A secret for an authenticator app."""
    uri = f"otpauth://totp/Contoso:alice?secret={SECRET}&issuer=Contoso"
    qr = segno.make(uri).svg_inline(omitsize=True)
    return {"id": "enr_1", "uri": uri, "secret": SECRET, "qr_svg": qr, "expires_at": soon(seconds)}

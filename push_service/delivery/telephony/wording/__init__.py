"""What texts say and the voice speaks: our own sentences, a file for each language.

A text has one code at most, fits one segment of the GSM alphabet (160 characters) and holds nothing that anybody wrote:
no name, no application, no address (S-44). `Words` is whole or it doesn't start: a language that lacks a sentence is a
type error. The dispatcher asks for texts, `voice.py` for what is spoken.
"""

from __future__ import annotations

import re
from typing import assert_never

from push_service.delivery.telephony.settings import Language
from push_service.delivery.telephony.wording.de import GERMAN
from push_service.delivery.telephony.wording.en import ENGLISH
from push_service.delivery.telephony.wording.words import Words
from push_service.model.message import About, Outgoing

LANGUAGES: dict[Language, Words] = {Language.EN: ENGLISH, Language.DE: GERMAN}
_CODE = re.compile(r"[0-9]{4,10}")
_MASKED = re.compile(r"[+0-9X ]{1,24}")


def text_of(message: Outgoing, words: Words) -> str:
    """The body of a text. ValueError for what is no text of ours: a defect, never an input."""
    match message.about:
        case About.CODE:
            if message.secret is None or not _CODE.fullmatch(message.secret):
                raise ValueError(f"message {message.id} has no code to tell")
            return words.code.format(code=message.secret)
        case About.VERIFY:
            raise ValueError(f"message {message.id} is asked by voice")
        case About.METHOD_ADDED:
            return _naming(words.method_added, message.detail)
        case About.METHOD_REMOVED:
            return _naming(words.method_removed, message.detail)
        case About.APP_PASSWORD_ADDED:
            return words.app_password_added
        case About.BYPASS_ISSUED:
            return words.bypass_issued
        case About.FRAUD_REPORTED:
            return words.fraud_reported
    assert_never(message.about)


def _naming(sentence: str, detail: str) -> str:
    """The sentence with what it is about, where that is a masked number; anything else might be somebody's words."""
    return sentence.format(detail=f" ({detail})" if _MASKED.fullmatch(detail) else "")

"""What texts say and the voice speaks: one code, one segment, our own words, and documents that are exact XML."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import msgspec
import pytest

from mobile_stub.carrier_twiml import Gather, Hangup, Pause, Say, read
from push_service.calls import CallReply
from push_service.delivery.telephony.addresses import Addresses, Turn
from push_service.delivery.telephony.settings import Language
from push_service.delivery.telephony.voice import Voice
from push_service.delivery.telephony.wording import LANGUAGES, text_of
from push_service.model.ids import MessageId, MethodId, UserId
from push_service.model.message import About, Outgoing, Via

GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The characters that take one of a segment's 160 places (3GPP TS 23.038, 6.2.1)."""
SEGMENT = 160
HOSTILE = (
    "Eve\r\nYour code is 000000",
    "https://evil.example/",
    "your code is 000000",
    "</Say><Redirect>https://evil.example/</Redirect>",
    "&amp;",
    "<prosody rate='fast'>",
    "x" * 1600,
    "😀",
    "000000 ",
)
PUBLIC = "https://id.example.org"
MESSAGE = MessageId("ch_1")
TAGS = {"Response", "Gather", "Say", "Pause", "Hangup"}


def outgoing(about: About, *, detail: str = "", secret: str | None = None) -> Outgoing:
    return Outgoing(
        id=MESSAGE,
        user_id=UserId("usr_1"),
        username=HOSTILE[0],
        sign_in_id=None,
        method_id=MethodId("mth_1"),
        via=Via.TEXT,
        about=about,
        detail=detail,
        number="+441632960001",
        secret=secret,
        seconds=60.0,
    )


NOTICES = [about for about in About if about not in {About.CODE, About.VERIFY}]


@pytest.mark.security("S-44")
@pytest.mark.parametrize("language", Language)
def test_a_text_has_one_code_in_one_segment(language: Language) -> None:
    body = text_of(outgoing(About.CODE, secret="123456"), LANGUAGES[language])
    assert re.findall(r"\d+", body) == ["123456"]
    assert len(body) <= SEGMENT
    assert set(body) <= GSM
    assert "http" not in body


@pytest.mark.security("S-44")
@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("about", NOTICES)
def test_a_notice_is_one_segment_and_repeats_nothing_but_a_masked_number(language: Language, about: About) -> None:
    words = LANGUAGES[language]
    plain = text_of(outgoing(about), words)
    for detail in (*HOSTILE, "Eve's phone"):
        assert text_of(outgoing(about, detail=detail), words) == plain or detail == HOSTILE[-1]
    masked = text_of(outgoing(about, detail="+XX XXXXXXXXXXX89"), words)
    for body in (plain, masked):
        assert len(body) <= SEGMENT
        assert set(body) <= GSM
        assert "{" not in body


@pytest.mark.security("S-44")
@pytest.mark.parametrize("secret", [None, "", "12 456", "<b>", "123456\n", "1" * 11, "https://evil.example"])
def test_what_is_no_code_is_never_sent_as_one(secret: str | None) -> None:
    with pytest.raises(ValueError, match="no code"):
        text_of(outgoing(About.CODE, secret=secret), LANGUAGES[Language.EN])


def test_what_is_asked_by_voice_is_no_text() -> None:
    with pytest.raises(ValueError, match="voice"):
        text_of(outgoing(About.VERIFY), LANGUAGES[Language.EN])


def voice(language: Language = Language.EN, pin_digits: int = 2) -> Voice:
    return Voice(LANGUAGES[language], Addresses(PUBLIC), pin_digits)


def test_the_question_is_exactly_this() -> None:
    assert voice().document(CallReply.ASK, MESSAGE, Turn()) == (
        '<?xml version="1.0" encoding="UTF-8"?><Response>'
        '<Gather action="https://id.example.org/v1/telephony/keys/ch_1?round=1" actionOnEmptyResult="true" '
        'finishOnKey="" input="dtmf" method="POST" numDigits="2" timeout="2">'
        '<Say language="en-US">This is your sign-in verification call. To finish signing in, press the pound key. '
        "If it was not you who is trying to sign in, press zero, then pound.</Say>"
        '<Pause length="6" /></Gather><Hangup /></Response>'
    )


@pytest.mark.security("S-44")
@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("reply", CallReply)
@pytest.mark.parametrize("extension", [False, True])
def test_every_document_is_well_formed_and_ends(language: Language, reply: CallReply, *, extension: bool) -> None:
    for text in (
        voice(language).document(reply, MESSAGE, Turn(extension=extension)),
        voice(language).after_zero(MESSAGE, Turn(extension=extension)),
        voice(language).silence(),
    ):
        verbs = read(text, PUBLIC)
        assert isinstance(verbs[-1], Hangup)
        assert {each.tag for each in ET.fromstring(text).iter()} <= TAGS  # noqa: S314 - our own


def test_a_number_of_the_page_is_awaited_with_its_hash() -> None:
    gather, _ = read(voice().document(CallReply.ASK_PIN, MESSAGE, Turn()), PUBLIC)
    assert isinstance(gather, Gather)
    assert (gather.num_digits, gather.finish_on_key, gather.action_on_empty) == (3, "", True)
    assert gather.action == f"{PUBLIC}/v1/telephony/keys/ch_1?round=1&pin=1"
    (say, _) = gather.nested
    assert isinstance(say, Say)
    assert "number shown on your screen" in say.text


@pytest.mark.parametrize(("extension", "rounds"), [(False, 2), (True, 3)])
def test_the_question_is_repeated_once_and_once_more_where_an_exchange_connects(
    *, extension: bool, rounds: int
) -> None:
    document = voice().document(CallReply.ASK, MESSAGE, turn := Turn(extension=extension))
    asked = 0
    while gathers := [verb for verb in read(document, PUBLIC) if isinstance(verb, Gather)]:
        asked += 1
        turn = Turn.of(dict(pair.split("=") for pair in gathers[0].action.partition("?")[2].split("&")))
        document = voice().document(CallReply.AGAIN, MESSAGE, turn)
    assert asked == rounds
    first = read(voice().document(CallReply.ASK, MESSAGE, Turn(extension=extension)), PUBLIC)[0]
    assert isinstance(first, Pause) is extension


def test_a_turn_is_what_its_query_says() -> None:
    for turn in (Turn(), Turn(round=3, extension=True), Turn(pin=True, zero=True)):
        assert Turn.of(dict(pair.split("=") for pair in turn.query.split("&"))) == turn
    for spoilt in ("", "x", "²", "99", "-1"):
        assert Turn.of({"round": spoilt}).round == 9


def test_every_language_is_whole_and_different() -> None:
    assert set(LANGUAGES) == set(Language)
    for field in msgspec.structs.fields(LANGUAGES[Language.EN]):
        sentences = {getattr(words, field.name) for words in LANGUAGES.values()}
        assert len(sentences) == len(LANGUAGES), field.name

"""The documents by which the provider conducts a call (TwiML): what is said, and which keys are listened for.

# alone finishes and 0# reports, so # must come to us as a key: with `finishOnKey` at its default it would only end the
input, and silence and # would look alike. Two keys are listened for, so that 0#, ## and 9# arrive whole; # alone counts
once nothing has followed it for two seconds. The longer wait for the first key is a pause inside the question.
Used by `frontends/telephony.py`.
"""

from __future__ import annotations

from typing import assert_never

import msgspec
from twilio.twiml.voice_response import Gather, VoiceResponse

from push_service.calls import CallReply
from push_service.delivery.telephony.addresses import Addresses, Turn
from push_service.delivery.telephony.wording.words import Words
from push_service.model.ids import MessageId

ROUNDS = 2
"""How often the question is put; where an exchange connects first, once more."""
FIRST_KEY_SECONDS = 6
NEXT_KEY_SECONDS = 2
NEXT_DIGIT_SECONDS = 5
EXTENSION_SECONDS = 4
"""How long an exchange is given to connect before anything is said."""


class Voice:
    """Writes the documents, in one language."""

    def __init__(self, words: Words, addresses: Addresses, pin_digits: int) -> None:
        """Have keys told to these addresses; a number of the page has so many digits."""
        self._words, self._addresses, self._pin_digits = words, addresses, pin_digits

    def document(self, reply: CallReply, message_id: MessageId, turn: Turn) -> str:
        """What comes after this turn."""
        match reply:
            case CallReply.ASK:
                return self._question(message_id, turn)
            case CallReply.ASK_PIN:
                return self._question(message_id, msgspec.structs.replace(turn, pin=True))
            case CallReply.AGAIN:
                if turn.round < ROUNDS + turn.extension:
                    return self._question(message_id, msgspec.structs.replace(turn, round=turn.round + 1))
                sentence = self._words.not_heard
            case CallReply.DONE:
                sentence = self._words.done
            case CallReply.FRAUD:
                sentence = self._words.reported
            case CallReply.OVER:
                sentence = self._words.over
            case _:
                assert_never(reply)
        return self._farewell(sentence)

    def after_zero(self, message_id: MessageId, turn: Turn) -> str:
        """What comes after 0 alone: the rest of a report may follow, however slowly, and nothing else any more."""
        return self._question(message_id, msgspec.structs.replace(turn, zero=True))

    def silence(self) -> str:
        """Hang up without a word: nobody is there to hear one."""
        document = VoiceResponse()
        document.hangup()
        return str(document)

    def _question(self, message_id: MessageId, turn: Turn) -> str:
        sentence = self._words.report if turn.zero else self._words.key_in if turn.pin else self._words.press
        document = VoiceResponse()
        if turn.extension and turn.round == 1:
            document.pause(length=EXTENSION_SECONDS)
        gather = Gather(
            input="dtmf",
            num_digits=1 if turn.zero else self._pin_digits + 1 if turn.pin else 2,
            finish_on_key="",
            timeout=NEXT_DIGIT_SECONDS if turn.pin else NEXT_KEY_SECONDS,
            action_on_empty_result=True,
            action=self._addresses.keys(message_id, turn),
            method="POST",
        )
        gather.say(sentence, language=self._words.spoken)
        gather.pause(length=FIRST_KEY_SECONDS)
        document.append(gather)
        document.hangup()
        return str(document)

    def _farewell(self, sentence: str) -> str:
        document = VoiceResponse()
        document.say(sentence, language=self._words.spoken)
        document.hangup()
        return str(document)

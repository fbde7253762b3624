"""ports.Telephony by Twilio's interface: a form for each text and call, sent once.

https://www.twilio.com/docs/messaging/api/message-resource and https://www.twilio.com/docs/voice/api/call-resource have
the fields. Everything that is sent is ours or the provider's own; nothing that a stranger wrote gets into a form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote, urlencode

import aiohttp
import structlog

from push_service.delivery.telephony.addresses import Addresses
from push_service.delivery.telephony.exchange import Answer, Exchange
from push_service.delivery.telephony.settings import TelephonyOptions
from push_service.delivery.telephony.twilio.errors import report_of
from push_service.ports import Call, SendOutcome, SendReport, Text

RING_SECONDS = 45
"""A phone that rings longer is answered by a machine."""
LONGEST_CALL_SECONDS = 120
"""A call that holds on costs money: the provider ends it by then."""
SHORTEST_QUEUE_SECONDS = 5
"""The provider advises against less for a text's time in its queue."""
_PAUSES = "wwww"
"""Two seconds, for the exchange to be ready for an extension. Digits follow, and nothing else: no # that the exchange,
or the person, might take for an answer."""
_SERVICE = "MG"
_CALL_ID = re.compile(r"[A-Za-z0-9]{1,64}")
_log = structlog.get_logger()

Form = Sequence[tuple[str, str]]


class TwilioTelephony:
    """See ports.Telephony."""

    def __init__(self, options: TelephonyOptions, exchange: Exchange, addresses: Addresses) -> None:
        """Send by this exchange, and have news brought to these addresses."""
        self._options, self._exchange, self._addresses = options, exchange, addresses
        self._account = f"{options.base_url}/2010-04-01/Accounts/{quote(options.account_sid, safe='')}"
        self._headers = {
            "Authorization": aiohttp.encode_basic_auth(options.account_sid, options.auth_token),
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }

    async def text(self, text: Text) -> SendReport:
        """See ports.Telephony."""
        sender = self._options.sender
        form = (
            ("To", text.to),
            ("MessagingServiceSid" if sender.startswith(_SERVICE) else "From", sender),
            ("Body", text.body),
            ("StatusCallback", self._addresses.status(text.id)),
            ("ValidityPeriod", str(max(SHORTEST_QUEUE_SECONDS, int(text.seconds)))),
        )
        return await self._send("Messages.json", form, text.seconds)

    async def call(self, call: Call) -> SendReport:
        """See ports.Telephony."""
        if not self._options.caller:
            return SendReport(SendOutcome.REFUSED, "no_caller")
        form = [
            ("To", call.to),
            ("From", self._options.caller),
            ("Url", self._addresses.voice(call.id, extension=call.extension is not None)),
            ("Method", "POST"),
            ("StatusCallback", self._addresses.status(call.id)),
            ("StatusCallbackMethod", "POST"),
            ("StatusCallbackEvent", "completed"),
            ("Timeout", str(max(1, min(RING_SECONDS, int(call.seconds))))),
            ("TimeLimit", str(LONGEST_CALL_SECONDS)),
        ]
        if call.extension is not None:
            form.append(("SendDigits", f"{_PAUSES}{call.extension}"))
        elif self._options.machine_detection:  # an exchange would be taken for a machine
            form.append(("MachineDetection", "Enable"))
        return await self._send("Calls.json", form, call.seconds)

    async def hang_up(self, provider_id: str) -> None:
        """See ports.Telephony."""
        if not _CALL_ID.fullmatch(provider_id):
            return
        report = await self._send(
            f"Calls/{provider_id}.json", (("Status", "completed"),), self._options.timeout_seconds
        )
        if report.outcome is not SendOutcome.SENT:
            _log.warning("telephony.not_hung_up", provider_id=provider_id, code=report.code)

    async def account(self) -> Answer:
        """What the provider says of the account, for the doctor. Raises ClientError, OSError and TimeoutError."""
        return await self._exchange.look(f"{self._account}.json", self._headers)

    async def _send(self, resource: str, form: Form, seconds: float) -> SendReport:
        url, body = f"{self._account}/{resource}", urlencode(form).encode()
        answer = await self._exchange.post(url, body, self._headers, seconds)
        return report_of(answer) if isinstance(answer, Answer) else answer

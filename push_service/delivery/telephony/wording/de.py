"""German."""

from __future__ import annotations

from push_service.delivery.telephony.wording.words import Words

_WAS_IT_YOU = " Waren Sie das nicht, melden Sie es sofort."
_CALL = "Dies ist der Anruf zu Ihrer Anmeldung."
_NOT_YOU = "Wenn nicht Sie sich gerade anmelden, drücken Sie die Null und dann die Rautetaste."

GERMAN = Words(
    spoken="de-DE",
    code="Ihr Bestätigungscode ist {code}. Niemand wird Sie je danach fragen: Geben Sie ihn nur bei der Anmeldung ein.",
    method_added="Ihr Konto hat einen neuen Weg, Anmeldungen zu bestätigen{detail}." + _WAS_IT_YOU,
    method_removed="Ihr Konto hat einen Weg weniger, Anmeldungen zu bestätigen{detail}." + _WAS_IT_YOU,
    app_password_added="Für Ihr Konto wurde ein App-Kennwort angelegt." + _WAS_IT_YOU,
    bypass_issued="Sie dürfen sich einmal ohne Telefon anmelden. Haben Sie das nicht verlangt, melden Sie es sofort.",
    fraud_reported="Eine Anmeldung bei Ihrem Konto wurde als Betrug gemeldet und gestoppt." + _WAS_IT_YOU,
    press=f"{_CALL} Um sich anzumelden, drücken Sie die Rautetaste. {_NOT_YOU}",
    key_in=f"{_CALL} Geben Sie die Zahl auf Ihrem Bildschirm ein, dann die Rautetaste. {_NOT_YOU}",
    report="Um zu melden, dass nicht Sie sich gerade anmelden, drücken Sie die Rautetaste. Sonst legen Sie auf.",
    done="Vielen Dank. Sie sind bestätigt und können zurück an Ihren Bildschirm. Auf Wiederhören.",
    reported="Vielen Dank. Die Anmeldung wurde gestoppt und Ihre Meldung aufgenommen. Auf Wiederhören.",
    not_heard="Es wurde nichts bestätigt. Auf Wiederhören.",
    over="Es ist keine Anmeldung mehr zu bestätigen. Auf Wiederhören.",
)

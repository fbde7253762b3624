"""What may be given of a new person or application, and what is refused."""

import pytest

from push_service.model.application import Clients
from push_service.model.errors import InvalidRequest
from push_service.model.new_application import MAX_NAME, NewApplication
from push_service.model.new_user import ImportLine, NewUser
from push_service.model.user import UserState


def test_a_person_is_added_enabled_with_a_key_to_compare_and_numbers_in_e164() -> None:
    user = NewUser(username="Ålice", password="p" * 8, mobile="+49 170 1234567", office="+4930123456").to_user()
    assert (user.username, user.name_key, user.state, user.admin) == ("Ålice", "ålice", UserState.ENABLED, False)
    assert (user.mobile, user.office, user.password_hash) == ("+491701234567", "+4930123456", None)


@pytest.mark.parametrize(
    "new",
    [
        NewUser(username=""),
        NewUser(username="аlice"),  # noqa: RUF001 - the look-alike is the point
        NewUser(username="alice\u202e"),
        NewUser(username="alice", password="1234567"),
        NewUser(username="alice", password="e\u0301" * 7),
        NewUser(username="alice", password="p" * 1025),
        NewUser(username="alice", extension="12"),
        NewUser(username="alice", mobile="0170 1234567"),
        NewUser(username="alice", office="+4930123456", extension="1#"),
    ],
    ids=repr,
)
def test_a_person_who_cannot_be_added_is_refused(new: NewUser) -> None:
    with pytest.raises(InvalidRequest):
        new.to_user()


def test_a_line_of_an_import_describes_a_person() -> None:
    line = ImportLine(number=2, username=" erin ", password=" a b c d ", state="Enforced", admin="YES", mobile=" ")
    assert line.to_new_user() == NewUser(username="erin", password=" a b c d ", state=UserState.ENFORCED, admin=True)


def test_an_empty_cell_is_the_default() -> None:
    assert ImportLine(number=2, username="erin").to_new_user() == NewUser(username="erin")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (ImportLine(number=2, username="erin", state="perhaps"), "disabled, enabled, enforced"),
        (ImportLine(number=2, username="erin", admin="maybe"), "yes or no"),
        (ImportLine(number=2, username="erin", malformed="It has 9 cells."), "9 cells"),
    ],
)
def test_a_word_that_means_nothing_is_refused(line: ImportLine, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        line.to_new_user()


def test_an_application_is_taken_as_given() -> None:
    application = NewApplication(
        name="Contoso Mail",
        redirect_uris=("https://mail.example.org/cb",),
        origins=("https://mail.example.org",),
        may_vouch=True,
    ).to_application()
    assert application.id.startswith("app_")
    assert application.redirect_uris == ("https://mail.example.org/cb",)
    assert application.origins == ("https://mail.example.org",)
    assert application.may_vouch


@pytest.mark.security("S-40", "S-43")
@pytest.mark.parametrize(
    ("new", "said"),
    [
        (NewApplication(name=""), "name"),
        (NewApplication(name=" Mail"), "name"),
        (NewApplication(name="M" * (MAX_NAME + 1)), "name"),
        (NewApplication(name="Mail\u202egnp"), "name"),
        (NewApplication(name="Mail\n"), "name"),
        (NewApplication(name="Mail\u00a0"), "name"),
        (NewApplication(name="Mail", public=True), "origin or a redirect URI"),
        (NewApplication(name="Mail", public=True, origins=("https://a.example",), may_vouch=True), "can't vouch"),
        (NewApplication(name="Mail", origins=("https://a.example/",)), "Origin 'https://a.example/'"),
        (NewApplication(name="Mail", redirect_uris=("//a.example/",)), "Redirect URI '//a.example/'"),
    ],
)
def test_an_application_that_could_mislead_is_refused(new: NewApplication, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        new.to_application()


def test_an_application_without_a_secret_asks_for_no_clients() -> None:
    origins = ("https://mail.example.org",)
    assert NewApplication(name="Page", public=True, origins=origins).to_application().clients is Clients.NONE
    assert NewApplication(name="Mail", clients=Clients.USE).to_application().clients is Clients.USE
    with pytest.raises(InvalidRequest):
        NewApplication(name="Page", public=True, origins=origins, clients=Clients.USE).to_application()

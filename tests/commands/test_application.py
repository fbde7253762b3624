"""`push-service application` and `push-service keys`."""

import pytest

from tests.commands.conftest import Push


def test_an_application_is_added_listed_given_a_new_secret_and_removed(push: Push) -> None:
    options = ("--may-vouch", "--redirect-uri", "https://mail.example.org/cb", "--origin", "https://mail.example.org")
    added = push("application", "add", "Contoso Mail", *options, "--json").json
    assert added.keys() == {"client_id", "client_secret"}
    assert push("application", "list", "--json").json == {
        "applications": [
            {
                "client_id": added["client_id"],
                "name": "Contoso Mail",
                "public": False,
                "may_vouch": True,
                "clients": "any",
                "redirect_uris": ["https://mail.example.org/cb"],
                "origins": ["https://mail.example.org"],
            }
        ]
    }
    client_id = str(added["client_id"])
    rotated = push("application", "rotate-secret", client_id, "--json").json
    assert rotated["client_id"] == client_id
    assert rotated["client_secret"] != added["client_secret"]
    assert push("application", "remove", client_id).code == 0
    assert "There is no application" in push("application", "remove", client_id).refusal
    assert push("application", "list", "--json").json == {"applications": []}


def test_a_public_application_has_no_secret(push: Push) -> None:
    added = push("application", "add", "Page", "--public", "--origin", "http://localhost:3000", "--json").json
    assert added["client_secret"] is None
    assert "has no secret" in push("application", "rotate-secret", str(added["client_id"])).refusal


@pytest.mark.security("S-40")
@pytest.mark.parametrize(
    "options",
    [
        ("--redirect-uri", "//evil.example/"),
        ("--redirect-uri", "http://mail.example.org/cb"),
        ("--origin", "https://mail.example.org/"),
        ("--public",),
        ("--public", "--origin", "https://mail.example.org", "--may-vouch"),
    ],
)
def test_what_could_mislead_is_refused(push: Push, options: tuple[str, ...]) -> None:
    assert push("application", "add", "Mail", *options).refusal
    assert push("application", "list", "--json").json == {"applications": []}


def test_the_built_in_applications_stay(push: Push) -> None:
    assert "built in" in push("application", "remove", "settings").refusal
    assert "built in" in push("application", "remove", "administration").refusal


@pytest.mark.security("S-68")
def test_a_rotated_key_signs_and_the_old_one_is_kept_unseen(push: Push) -> None:
    rotated = push("keys", "rotate", "--json").json
    listed = push("keys", "list", "--json")
    assert "PRIVATE" not in listed.out
    keys = listed.json["keys"]
    assert isinstance(keys, list)
    assert keys[0]["kid"] == rotated["kid"]
    assert [key["retired_at"] is None for key in keys] == [True] + [False] * (len(keys) - 1)
    assert "signs now" in push("keys", "list").out


@pytest.mark.security("S-50")
def test_an_application_is_barred_from_clients_that_it_is_not_for(push: Push) -> None:
    push("application", "add", "Mail server", "--clients", "use")
    listed = push("application", "list", "--json").json["applications"]
    assert isinstance(listed, list)
    assert [each["clients"] for each in listed] == ["use"]
    assert push("application", "add", "Mail server", "--clients", "everything").code == 2
    assert (
        "can't ask for clients"
        in push(
            "application", "add", "Page", "--public", "--origin", "https://page.example", "--clients", "use"
        ).refusal
    )

"""Addresses are accepted in the one spelling in which they will be compared."""

import pytest

from push_service.model.web_address import MAX_LENGTH, is_loopback, origin, redirect_uri


@pytest.mark.parametrize(
    "text",
    [
        "https://login.example.org",
        "https://login.example.org:8443",
        "http://localhost:3000",
        "http://app.localhost",
        "http://127.0.0.1:8400",
        "http://[::1]:8400",
        "https://[2001:db8::1]",
    ],
)
def test_an_origin_in_a_browsers_spelling_is_taken_as_it_is(text: str) -> None:
    assert origin(text) == text
    assert redirect_uri(f"{text}/") == f"{text}/"


@pytest.mark.security("S-40")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "login.example.org",
        "//login.example.org",
        "https:login.example.org",
        "https://",
        "https://login.example.org/",
        "https://login.example.org?",
        "https://login.example.org#",
        "https://Login.example.org",
        "HTTPS://login.example.org",
        "https://login.example.org:443",
        "https://login.example.org:0",
        "https://login.example.org:65536",
        "https://login.example.org:x",
        "https://[::1",
        "https://user@login.example.org",
        "https://user:word@login.example.org",
        "https://login.example.org evil",
        "https://login.example.org\n",
        "https://lögin.example.org",
        "https://login.example.org\\evil",
        "http://login.example.org",
        "http://localhost.example.org",
        "http://127.0.0.1.example.org",
        "http://0.0.0.0",
        "javascript:alert(1)",
        "ftp://login.example.org",
        "null",
        "*",
    ],
)
def test_anything_else_is_no_origin(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|http"):
        origin(text)


@pytest.mark.security("S-40")
@pytest.mark.parametrize(
    "text",
    [
        "https://mail.example.org/callback",
        "https://mail.example.org/callback?from=here&at=%2F",
        "http://127.0.0.1:9000/callback",
    ],
)
def test_a_redirect_uri_is_taken_as_it_is(text: str) -> None:
    assert redirect_uri(text) == text


@pytest.mark.security("S-40")
@pytest.mark.parametrize(
    "text",
    [
        "https://mail.example.org",
        "https://mail.example.org?x=/",
        "https://mail.example.org/callback#",
        "https://mail.example.org/callback#top",
        "https://MAIL.example.org/callback",
        "https://mail.example.org:443/callback",
        "https://mail.example.org@evil.example/callback",
        "https://mail.example.org/../callback",
        "https://mail.example.org/a/%2e%2E/callback",
        "https://mail.example.org/./callback",
        "https://mail.example.org\\@evil.example/callback",
        "http://mail.example.org/callback",
        "//mail.example.org/callback",
        "/callback",
        "https:///callback",
        f"https://mail.example.org/{'a' * MAX_LENGTH}",
    ],
)
def test_anything_else_is_no_redirect_uri(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|http|redirect"):
        redirect_uri(text)


@pytest.mark.parametrize("host", ["localhost", "a.b.localhost", "127.0.0.1", "127.255.0.3", "::1"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example", "notlocalhost", "10.0.0.1", "127.1", "::", "example.org", ""])
def test_whatever_might_be_another_machine_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)

"""`push-service user`: the people who sign in."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from push_service.commands.running import (
    JsonOption,
    PasswordStdinOption,
    new_password,
    print_columns,
    print_json,
    say,
    tell,
    with_core,
)
from push_service.model.device import Device
from push_service.model.errors import InvalidRequest
from push_service.model.instant import rfc3339
from push_service.model.new_user import NewUser
from push_service.model.user import User, UserState

if TYPE_CHECKING:
    from push_service.administrator import StateChange
    from push_service.core import Core
    from push_service.registrar import IssuedActivation

app = typer.Typer(help="People who sign in.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The username.")]


class UserReply(msgspec.Struct, frozen=True):
    """A person, in short."""

    id: str
    username: str
    state: UserState


class MethodView(msgspec.Struct, frozen=True):
    """A registered method."""

    id: str
    method: str
    target: str
    primary: bool


class UserView(msgspec.Struct, frozen=True):
    """A person with everything that an operator may see."""

    id: str
    username: str
    state: UserState
    admin: bool
    blocked: bool
    has_password: bool
    mobile: str | None
    office: str | None
    methods: list[MethodView]


class UserList(msgspec.Struct, frozen=True):
    """People by name."""

    users: list[UserView]


class DeviceView(msgspec.Struct, frozen=True):
    """A phone."""

    id: str
    name: str
    platform: str
    activated_at: str


class DeviceList(msgspec.Struct, frozen=True):
    """A person's phones, oldest first."""

    devices: list[DeviceView]


class ActivationView(msgspec.Struct, frozen=True):
    """An activation code."""

    code: str
    uri: str
    expires_at: str


@app.command()
def add(  # noqa: PLR0913 - the options of the command
    context: typer.Context,
    name: NameArgument,
    *,
    password_stdin: PasswordStdinOption = False,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="Ask for no password: applications vouch for this person.")
    ] = False,
    state: Annotated[UserState, typer.Option(help="What a sign-in asks of the account.")] = UserState.ENABLED,
    admin: Annotated[bool, typer.Option("--admin", help="May administer the service.")] = False,
    mobile: Annotated[str | None, typer.Option(metavar="+E164", help="Mobile number.")] = None,
    office: Annotated[str | None, typer.Option(metavar="+E164", help="Office number.")] = None,
    extension: Annotated[str | None, typer.Option(metavar="N", help="Extension of the office number.")] = None,
    json: JsonOption = False,
) -> None:
    """Add a person. The password is asked for on a terminal; without one and --password-stdin there is none."""
    if no_password and password_stdin:
        raise typer.BadParameter("--no-password and --password-stdin exclude one another.")
    password = None if no_password else new_password(from_stdin=password_stdin)
    new = NewUser(
        username=name,
        password=password,
        state=state,
        admin=admin,
        mobile=mobile,
        office=office,
        extension=extension,
    )
    user = with_core(context, lambda core: core.administrator.add_user(new))
    if password is None:
        say("Added without a password: only applications that may vouch can sign this person in.")
    if json:
        print_json(UserReply(user.id, user.username, user.state))
    else:
        tell(f"{user.username} ({user.id}) is added, {user.state}.")


@app.command("list")
def list_users(
    context: typer.Context,
    *,
    state: Annotated[UserState | None, typer.Option(help="Only accounts in this state.")] = None,
    json: JsonOption = False,
) -> None:
    """List people by name."""

    async def collect(core: Core) -> list[UserView]:
        return [_view(user) async for user in core.administrator.users(state)]

    users = with_core(context, collect)
    if json:
        print_json(UserList(users))
        return
    print_columns(
        ("USERNAME", "ID", "STATE", "METHODS", "NOTES"),
        [(each.username, each.id, each.state.value, str(len(each.methods)), _notes(each)) for each in users],
    )


@app.command()
def show(context: typer.Context, name: NameArgument, *, json: JsonOption = False) -> None:
    """Show a person: account, numbers, methods."""
    user = _view(with_core(context, lambda core: core.administrator.user(name)))
    if json:
        print_json(user)
        return
    facts = [("username", user.username), ("id", user.id), ("state", user.state.value), ("notes", _notes(user))]
    facts += [("mobile", user.mobile or ""), ("office", user.office or "")]
    facts += [("primary" if each.primary else "method", f"{each.method}, {each.target}") for each in user.methods]
    for title, value in facts:
        if value:
            tell(f"{title:<10}{value}")


@app.command("state")
def set_state(
    context: typer.Context,
    name: NameArgument,
    state: Annotated[UserState, typer.Argument(metavar="STATE", help=", ".join(UserState) + ".")],
    *,
    json: JsonOption = False,
) -> None:
    """Set an account's state. Somebody who is registered can't be merely enabled: that stores enforced."""

    async def change(core: Core) -> tuple[User, StateChange]:
        return await core.administrator.user(name), await core.administrator.set_state(name, state)

    user, changed = with_core(context, change)
    if changed.after is not state:
        say(f"{user.username} has registered methods already: {state} is stored as {changed.after}.")
    if json:
        print_json(UserReply(user.id, user.username, changed.after))
    elif changed.before is changed.after:
        tell(f"{user.username} is {changed.after} already.")
    else:
        tell(f"{user.username} is {changed.after} (was {changed.before}).")


@app.command()
def password(
    context: typer.Context, name: NameArgument, *, password_stdin: PasswordStdinOption = False, json: JsonOption = False
) -> None:
    """Give a person a new password. Sign-ins begun with the old one end."""
    given = new_password(from_stdin=password_stdin)
    if given is None:
        raise typer.BadParameter("There is no terminal to ask on; use --password-stdin.")

    async def change(core: Core) -> User:
        await core.administrator.set_password(name, given)
        return await core.administrator.user(name)

    _told(with_core(context, change), "has a new password", json=json)


@app.command()
def block(context: typer.Context, name: NameArgument, *, json: JsonOption = False) -> None:
    """Refuse a person every sign-in until unblocked; what is under way ends."""

    async def change(core: Core) -> User:
        await core.administrator.block(name)
        return await core.administrator.user(name)

    _told(with_core(context, change), "is blocked", json=json)


@app.command()
def unblock(context: typer.Context, name: NameArgument, *, json: JsonOption = False) -> None:
    """Lift a block, and the pauses that unanswered prompts and wrong numbers led to."""

    async def change(core: Core) -> User:
        await core.administrator.unblock(name)
        return await core.administrator.user(name)

    _told(with_core(context, change), "is not blocked", json=json)


@app.command()
def devices(context: typer.Context, name: NameArgument, *, json: JsonOption = False) -> None:
    """List a person's phones, oldest first."""
    found = [_device(each) for each in with_core(context, lambda core: core.administrator.devices(name))]
    if json:
        print_json(DeviceList(found))
        return
    print_columns(
        ("ID", "NAME", "PLATFORM", "ACTIVATED"),
        [(each.id, each.name, each.platform, each.activated_at) for each in found],
    )


@app.command()
def reset_methods(context: typer.Context, name: NameArgument, *, json: JsonOption = False) -> None:
    """Forget everything that a person registered, so that they can register anew within a day."""

    async def change(core: Core) -> User:
        await core.administrator.reset_methods(name)
        return await core.administrator.user(name)

    _told(with_core(context, change), "has no registered methods any more", json=json)


@app.command()
def delete_app_passwords(context: typer.Context, name: NameArgument, *, json: JsonOption = False) -> None:
    """Revoke all of a person's app passwords: mail programs and the like are shut out at once."""

    async def change(core: Core) -> tuple[User, int]:
        count = await core.administrator.delete_app_passwords(name)
        return await core.administrator.user(name), count

    user, count = with_core(context, change)
    if count == 0:
        say(f"{user.username} had none.")
    _told(user, "has no app passwords any more", json=json)


@app.command()
def remove(context: typer.Context, name: NameArgument, *, json: JsonOption = False) -> None:
    """Remove a person with everything that is theirs."""

    async def change(core: Core) -> User:
        user = await core.administrator.user(name)
        await core.administrator.remove_user(name)
        return user

    _told(with_core(context, change), "is removed", json=json)


@app.command()
def activate_device(context: typer.Context, name: NameArgument, *, json: JsonOption = False) -> None:
    """Print an activation URI with its QR code, for one phone to scan; a newer one takes its place."""

    async def issue(core: Core) -> IssuedActivation:
        if core.settings.public_url is None and core.settings.listen.port == 0:
            raise InvalidRequest(
                "With a port left to chance, phones are only told where to go by PUSH_SERVICE_PUBLIC_URL."
            )
        user = await core.administrator.user(name)
        return await core.registrar.issue_activation(user.id)

    issued = with_core(context, issue)
    expires = rfc3339(issued.expires_at)
    if json:
        print_json(ActivationView(issued.code, issued.uri, expires))
        return
    import segno  # noqa: PLC0415 - only this command draws

    typer.echo(issued.uri)
    segno.make(issued.uri, micro=False).terminal(out=sys.stdout, compact=True)
    say(f"Scan it with the app on {name}'s phone before {expires}.")


def _told(user: User, what: str, *, json: bool) -> None:
    if json:
        print_json(UserReply(user.id, user.username, user.state))
    else:
        tell(f"{user.username} {what}.")


def _view(user: User) -> UserView:
    return UserView(
        id=user.id,
        username=user.username,
        state=user.state,
        admin=user.admin,
        blocked=user.guard.blocked,
        has_password=user.password_hash is not None,
        mobile=user.mobile,
        office=user.office,
        methods=[
            MethodView(each.id, each.kind.value, each.target, each.id == user.guard.primary)
            for each in user.guard.methods
        ],
    )


def _notes(user: UserView) -> str:
    notes = {"administrator": user.admin, "blocked": user.blocked, "without password": not user.has_password}
    return ", ".join(note for note, holds in notes.items() if holds)


def _device(device: Device) -> DeviceView:
    return DeviceView(device.id, device.name, device.platform, rfc3339(device.activated_at))

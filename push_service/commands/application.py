"""`push-service application`: who may send people here to sign in."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from push_service.commands.running import JsonOption, print_columns, print_json, say, tell, with_core
from push_service.model.application import Application, Clients
from push_service.model.ids import ApplicationId
from push_service.model.new_application import NewApplication

app = typer.Typer(help="Applications that people sign in to.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The client_id.")]


class Credentials(msgspec.Struct, frozen=True):
    """What an application authenticates with; a public one has no secret."""

    client_id: str
    client_secret: str | None


class ApplicationView(msgspec.Struct, frozen=True):
    """What of an application may be seen again."""

    client_id: str
    name: str
    public: bool
    may_vouch: bool
    clients: Clients
    redirect_uris: tuple[str, ...]
    origins: tuple[str, ...]


class ApplicationList(msgspec.Struct, frozen=True):
    """Applications by name."""

    applications: list[ApplicationView]


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Its name, as people see it on page and phone.")],
    *,
    public: Annotated[
        bool, typer.Option("--public", help="It can't keep a secret; its page's origin tells it.")
    ] = False,
    redirect_uri: Annotated[
        list[str] | None, typer.Option(metavar="URI", help="Where the hosted page may post results to, exactly.")
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(metavar="URI", help="A page's origin, https://host[:port], that may sign people in."),
    ] = None,
    may_vouch: Annotated[
        bool, typer.Option("--may-vouch", help="It checks passwords itself and may leave them out.")
    ] = False,
    clients: Annotated[
        Clients, typer.Option(help="For which clients without a second step, such as mail programs, it may ask.")
    ] = Clients.ANY,
    json: JsonOption = False,
) -> None:
    """Register an application; prints its client_id and, this once, its secret."""
    new = NewApplication(
        name=name,
        public=public,
        redirect_uris=tuple(redirect_uri or ()),
        origins=tuple(origin or ()),
        may_vouch=may_vouch,
        clients=clients,
    )
    issued = with_core(context, lambda core: core.administrator.add_application(new))
    _print_credentials(issued.application, issued.client_secret, json=json)


@app.command("list")
def list_applications(context: typer.Context, *, json: JsonOption = False) -> None:
    """List the applications by name."""
    found = [_view(each) for each in with_core(context, lambda core: core.administrator.applications())]
    if json:
        print_json(ApplicationList(found))
        return
    print_columns(
        ("CLIENT_ID", "NAME", "KIND", "ORIGINS AND REDIRECT URIS"),
        [(each.client_id, each.name, _kind(each), " ".join((*each.origins, *each.redirect_uris))) for each in found],
    )


@app.command()
def rotate_secret(context: typer.Context, client_id: IdArgument, *, json: JsonOption = False) -> None:
    """Give an application a new secret, printed this once. The old one ends at once."""
    issued = with_core(context, lambda core: core.administrator.rotate_secret(ApplicationId(client_id)))
    _print_credentials(issued.application, issued.client_secret, json=json)


@app.command()
def remove(context: typer.Context, client_id: IdArgument, *, json: JsonOption = False) -> None:
    """Remove an application: it begins no sign-in any more."""
    removed = with_core(context, lambda core: core.administrator.remove_application(ApplicationId(client_id)))
    if json:
        print_json(_view(removed))
    else:
        tell(f"{removed.name} ({removed.id}) is removed.")


def _print_credentials(application: Application, secret: str | None, *, json: bool) -> None:
    if json:
        print_json(Credentials(application.id, secret))
        return
    typer.echo(f"client_id      {application.id}")
    if secret is not None:
        typer.echo(f"client_secret  {secret}")
        say("The secret is not shown again.")


def _view(application: Application) -> ApplicationView:
    return ApplicationView(
        client_id=application.id,
        name=application.name,
        public=application.public,
        may_vouch=application.may_vouch,
        clients=application.clients,
        redirect_uris=application.redirect_uris,
        origins=application.origins,
    )


def _kind(application: ApplicationView) -> str:
    if application.public:
        return "public"
    return "may vouch" if application.may_vouch else "with secret"

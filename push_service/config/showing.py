"""Settings as a person reads them: their environment names, and their values with secrets masked."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from push_service.config.kinds import Section

_MASK = "********"


def names_of(section: type[BaseModel], prefix: str) -> list[str]:
    """The environment name of every setting of a section, in order."""
    found: list[str] = []
    for name, field in section.model_fields.items():
        full = f"{prefix}{field.alias or name}".upper()
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            found += names_of(inner, f"{full}__")
        else:
            found.append(full)
    return found


def shown(section: BaseModel, prefix: str) -> dict[str, str]:
    """The effective value of each, by environment name, in order; secrets masked, what is unset empty."""
    values: dict[str, str] = {}
    for name, field in type(section).model_fields.items():
        full, value = f"{prefix}{field.alias or name}".upper(), getattr(section, name)
        if isinstance(value, Section):
            values |= shown(value, f"{full}__")
        else:
            values[full] = _text(value)
    return values


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case SecretStr():
            return _MASK
        case tuple():
            return ",".join(str(each) for each in value)
        case str() if "://" in value and (password := urlsplit(value).password):
            return value.replace(f":{password}@", f":{_MASK}@")
        case _:
            return str(value)

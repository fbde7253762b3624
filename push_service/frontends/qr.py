"""QR codes as SVG: dark on light whatever the page's colours, or cameras can't read them."""

from __future__ import annotations

import io

import segno


def svg(text: str, title: str) -> str:
    """The picture of a text, named for those who can't see it."""
    picture = io.BytesIO()
    segno.make(text, error="m").save(
        picture, kind="svg", scale=4, border=4, dark="#000", light="#fff", xmldecl=False, title=title, omitsize=True
    )
    return picture.getvalue().decode()

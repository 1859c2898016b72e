"""Pages of the dashboard: templates filled, and the headers that every page has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

# Nothing but what this server itself serves: no inline script or style, no other site, no frame.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Pages:
    """`filters`: what templates write values with."""

    def __init__(self, filters: Mapping[str, Any]) -> None:
        self._templates = Environment(
            loader=PackageLoader("poller.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(filters)
        self._assets = {found.name: found.read_bytes() for found in files("poller.web").joinpath("static").iterdir()}
        assets = b"".join(self._assets[name] for name in sorted(self._assets))
        self._templates.globals["version"] = hashlib.sha256(assets).hexdigest()[:12]  # browsers keep assets for good

    def page(self, request: web.Request, template: str, status: int = 200, **values: Any) -> web.Response:
        text = self._templates.get_template(template).render(root=root_of(request), path=request.path, **values)
        # Without a referrer browsers send forms with the origin "null", which is refused as anybody's.
        headers = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}
        return web.Response(status=status, text=text, content_type="text/html", headers=headers)

    def asset(self, name: str) -> web.Response | None:
        body = self._assets.get(name)
        if body is None:
            return None
        headers = {
            "Content-Type": f"{_TYPES[name.rpartition('.')[2]]}; charset=utf-8",
            "Cache-Control": "public, max-age=31536000, immutable",
        }
        return web.Response(body=body, headers=headers)


def root_of(request: web.Request) -> str:
    """The way from a page to `/`, for links: a proxy may have put the whole surface below a path of its own."""
    return "../" * (request.path.count("/") - 1) or "./"

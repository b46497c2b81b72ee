"""The AWS endpoint of the local stack: moto's SNS, SQS and S3, for the programs of this machine only.

moto's own server offers every service of AWS to every page in a browser. Its CloudFormation runs code out of
a template (getmoto/moto issue 9941). It infers the service from the host, the path or the body. Here the
signature alone names the service, and only the applications of three services exist. No request reaches
another one.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, Literal

from flask import Flask
from moto.moto_server.werkzeug_app import MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple
from werkzeug.wrappers import Response

from margin_platform.stack import ports

_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.ASCII | re.IGNORECASE)
_SCOPE = r"[^/\s,]+/\d{8}/[a-z0-9-]+/([^/\s,]+)/aws4_request"  # key, day, region, service
_SIGNED_FOR = re.compile(f"AWS4-HMAC-SHA256 Credential={_SCOPE},", re.ASCII)
_SERVICES: tuple[Literal["s3", "sns", "sqs"], ...] = ("s3", "sns", "sqs")

Environ = dict[str, Any]


class Endpoint:
    """WSGI application: the service that the signature names answers, or a refusal of one line."""

    def __init__(self) -> None:
        self._services: dict[str, Flask] = {name: create_backend_app(name) for name in _SERVICES}

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        service = _service(environ)
        refusal = _not_a_local_program(environ)
        if refusal is None and service not in self._services:
            refusal = f"serves {', '.join(_SERVICES)} by signed requests only, service {service!r}"
        if refusal is not None:
            return Response(f"local AWS endpoint: {refusal}\n", 403)(environ, start_response)
        return self._services[service](environ, start_response)


def _not_a_local_program(environ: Environ) -> str | None:
    """Explain why the request may come from a page in a browser, or return None.

    Host: a page that got here by DNS rebinding sends its own name. Sec-: only browsers send these headers.
    """
    host = environ.get("HTTP_HOST", "")
    if not _LOOPBACK.fullmatch(host):
        return f"Host is not loopback, value {host!r}"
    if "HTTP_ORIGIN" in environ:
        return f"refuses browsers, Origin {environ['HTTP_ORIGIN']!r}"
    if sent := [name for name in environ if name.startswith("HTTP_SEC_")]:
        return f"refuses browsers, header {sent[0].removeprefix('HTTP_').replace('_', '-').title()}"
    if environ["REQUEST_METHOD"] == "OPTIONS":
        return "refuses browsers, method OPTIONS"
    return None


def _service(environ: Environ) -> str:
    """Return the service in the scope of the signature, empty where there is none."""
    signed = _SIGNED_FOR.match(environ.get("HTTP_AUTHORIZATION", ""))
    return signed[1] if signed else ""


def main() -> None:
    """Serve on loopback until the process is ended."""
    parser = argparse.ArgumentParser(description="Serve SNS, SQS and S3 to the programs of this machine.")
    parser.add_argument("port", type=int)
    port = parser.parse_args().port
    sys.modules["moto.cloudformation"] = ModuleType("moto.cloudformation")  # hides the package from imports
    run_simple(ports.HOST, port, Endpoint(), threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()

"""Grids for the dashboard on 100,000 live rows in real Chromium:
load, update, frames, heap, and the policy each needs.

Fetches the candidates with npm (`npm pack`) into a temporary folder; nothing of them is kept. Each page is
served under the dashboard's own content security policy first, and its violations counted.
"""

from __future__ import annotations

import argparse
import http.server
import json
import shutil
import subprocess
import tarfile
import tempfile
import threading
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

PACKAGES = {
    "chosen": [],
    "tabulator": ["tabulator-tables@6.5.3"],
    "aggrid": ["ag-grid-community@36.2.0"],
    "perspective": [
        f"@perspective-dev/{part}@5.5.1" for part in ("client", "viewer", "viewer-datagrid", "server")
    ],
}
_STYLE = "/npm/ag-grid-community/styles/ag-grid.css"
_AG_GRID = "/npm/ag-grid-community/dist/ag-grid-community.min.noStyle.js"
STATIC = Path(__file__).parents[1] / "margin_platform" / "dashboard" / "static"
STYLES = {
    "chosen": [_STYLE],
    "tabulator": ["/npm/tabulator-tables/dist/css/tabulator.min.css"],
    "aggrid": [_STYLE],
    "perspective": ["/npm/@perspective-dev/viewer/dist/css/pro.css"],
}
SCRIPTS = {"aggrid": [_AG_GRID], "chosen": [_AG_GRID]}
STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-bench'; img-src 'self' data:; font-src "
    "'self' data:; connect-src 'self'"
)
# What Perspective needs beyond it: a WebAssembly engine, in a worker made from a blob, and style elements of
# its own.
WIDER = (
    "default-src 'none'; script-src 'self' blob: 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob: data:; worker-src 'self' "
    "blob:"
)


def fetch(folder: Path) -> None:
    """Unpack every candidate under folder/npm/<name>."""
    for package in (p for group in PACKAGES.values() for p in group):
        asked = ["npm", "pack", "--silent", package]
        packed = subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=True).stdout.split()[
            -1
        ]
        target = folder / "npm" / package.rsplit("@", 1)[0]
        target.mkdir(parents=True)
        with tarfile.open(folder / packed) as archive:
            archive.extractall(folder / "unpacked", filter="data")
        shutil.copytree(folder / "unpacked" / "package", target, dirs_exist_ok=True)
        shutil.rmtree(folder / "unpacked")


def page(name: str) -> str:
    links = "".join(f'<link rel="stylesheet" href="{s}">' for s in STYLES[name])
    scripts = "".join(f'<script src="{s}"></script>' for s in SCRIPTS.get(name, []))
    return (
        f'<!doctype html><meta charset="utf-8"><meta name="style-nonce" content="bench">{links}'
        '<style nonce="bench">html,body,#grid,perspective-viewer{height:100%;margin:0;display:block}</style>'
        f'<div id="grid"></div>{scripts}<script type="module" src="/grids/{name}.js"></script>'
    )


def serve(folder: Path) -> http.server.ThreadingHTTPServer:
    class Handler(http.server.SimpleHTTPRequestHandler):
        extensions_map = {
            **http.server.SimpleHTTPRequestHandler.extensions_map,
            ".wasm": "application/wasm",
            ".mjs": "text/javascript",
        }

        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def do_GET(self) -> None:  # noqa: N802 - the base class's name
            policy, _, name = self.path.strip("/").partition("/")
            if policy in {"strict", "wider"} and name in PACKAGES:
                body = page(name).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Security-Policy", STRICT if policy == "strict" else WIDER)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            else:
                super().do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def measure(browser: Any, address: str, name: str, policy: str, options: dict[str, int]) -> dict[str, Any]:
    """Measure one grid under one content security policy."""
    tab = browser.new_page(viewport={"width": 1600, "height": 900})
    violations: list[str] = []
    tab.on("console", lambda m: violations.append(m.text) if "Content Security Policy" in m.text else None)
    cdp = tab.context.new_cdp_session(tab)
    tab.goto(f"{address}/{policy}/{name}")
    try:
        tab.wait_for_function("() => window.run", timeout=20_000)
        tab.set_default_timeout(120_000)
        cdp.send("Performance.enable")
        before = _metrics(cdp)
        result = tab.evaluate("(o) => window.run(o)", options)
        after = _metrics(cdp)
        cdp.send("HeapProfiler.collectGarbage")
        heap = _metrics(cdp)["JSHeapUsedSize"] / 1e6
        result |= {
            "heap_mb": round(heap),
            "main_thread_busy_s": round(after["TaskDuration"] - before["TaskDuration"], 1),
        }
    except Exception as error:  # noqa: BLE001 - a grid that cannot run under this policy is a finding
        result = {"failed": str(error).splitlines()[0][:160]}
    tab.close()
    return {
        "grid": name,
        "policy": policy,
        "csp_violations": len(violations),
        "first": violations[0][:120] if violations else "",
        **result,
    }


def _metrics(cdp: Any) -> dict[str, float]:
    return {m["name"]: m["value"] for m in cdp.send("Performance.getMetrics")["metrics"]}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--ticks", type=int, default=40, help="quarter seconds of 1,250 changes each")
    parser.add_argument("--only", choices=sorted(PACKAGES))
    parser.add_argument("--json", action="store_true", help="a line of JSON a grid; the same as without")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        fetch(folder)
        shutil.copytree(Path(__file__).parent / "grids", folder / "grids")
        shutil.copytree(STATIC, folder / "static")
        server = serve(folder)
        for name in [args.only] if args.only else PACKAGES:
            for policy in ("strict", "wider") if name == "perspective" else ("strict",):
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                )
                outcome = measure(
                    browser,
                    f"http://127.0.0.1:{server.server_port}",
                    name,
                    policy,
                    {"rows": args.rows, "ticks": args.ticks},
                )
                print(json.dumps(outcome), flush=True)
                browser.close()
        server.shutdown()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

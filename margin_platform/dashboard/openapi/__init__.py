"""The dashboard's and the order gate's HTTP interface as an OpenAPI 3.1 document.

`python -m margin_platform.dashboard.openapi` writes docs/api/openapi.json; a test generates it again and
holds the answers of a running server against it.
"""

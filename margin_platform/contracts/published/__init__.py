"""The published forms of the declarations: JSON Schemas, the page of contracts, and AsyncAPI.

`python -m margin_platform.contracts.published` writes all of them; a test generates each again.
"""

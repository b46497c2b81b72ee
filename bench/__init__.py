"""Benchmarks: each a module with `main`, its figures beside a bound of the same run.

`python -m bench.NAME` or `margin bench NAME`.
"""

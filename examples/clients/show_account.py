"""Show an account's margin and what would cure it: show_account.py URL ACCOUNT."""

import sys

import httpx

url, account = sys.argv[1:]
found = httpx.get(f"{url}/api/account", params={"id": account}, timeout=30).raise_for_status().json()
print(account, found["row"]["status"], f"excess {found['row']['excess']:,.2f}")
for cure in found["cures"]:
    print(" ", cure["action"], cure.get("qty", ""), cure.get("symbol", ""), f"{cure['amount']:,.2f}")

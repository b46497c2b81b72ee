"""Ask the order gate before an order is sent: ask_order_gate.py URL ACCOUNT SYMBOL SIDE QTY."""

import sys

import httpx

url, account, symbol, side, qty = sys.argv[1:]
order = {"account_id": account, "symbol": symbol, "side": side, "qty": float(qty)}
answer = httpx.post(f"{url}/gate/orders/check", json=order, timeout=30).raise_for_status().json()
print("send" if answer["allow"] else "do not send", answer["rule"], answer["reason"], sep=": ")

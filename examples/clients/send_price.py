"""Send one price: send_price.py BROKER SYMBOL PRICE."""

import json
import sys
import time

from kafka import KafkaProducer

broker, symbol, price = sys.argv[1:]
event = {"symbol": symbol, "price": float(price), "timestamp": time.time_ns() // 1_000_000}
with KafkaProducer(bootstrap_servers=broker) as producer:
    producer.send("prices.v1", key=symbol.encode(), value=json.dumps(event).encode()).get(timeout=30)

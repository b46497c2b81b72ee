"""Print the first margin calls as they come: follow_margin_calls.py BROKER COUNT."""

import itertools
import json
import sys

from kafka import KafkaConsumer

calls = KafkaConsumer("margin.calls.v1", bootstrap_servers=sys.argv[1], auto_offset_reset="earliest")
for record in itertools.islice(calls, int(sys.argv[2])):
    call = json.loads(record.value)
    print(call["account_id"], call["action"], call["deficiency"], call["due_at"])

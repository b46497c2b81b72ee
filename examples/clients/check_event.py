"""Hold an event against the AsyncAPI document, without this platform: check_event.py FILE TOPIC < EVENT."""

import json
import pathlib
import sys

import jsonschema

document = json.loads(pathlib.Path(sys.argv[1]).read_text())
schema = document["components"]["messages"][sys.argv[2]]["payload"]
jsonschema.validate(json.load(sys.stdin), schema)
print("valid")

"""A sample agent: asks for the models with a placeholder, then tries to go around the proxy."""

import os
import socket
import urllib.error
import urllib.request

URL = "https://api.openai.com/v1/models"
OUTSIDE = ("1.1.1.1", 443)


def ask() -> None:
    key = os.environ["OPENAI_API_KEY"]
    print(f"what this agent holds: {key}", flush=True)
    request = urllib.request.Request(URL, headers={"Authorization": f"Bearer {key}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            print(f"{answer.status} {answer.read(200).decode(errors='replace')}")
    except urllib.error.HTTPError as refusal:
        print(f"{refusal.code} {refusal.read(500).decode(errors='replace')}")
    except OSError as failure:
        print(f"no answer: {failure}")


def go_around() -> bool:
    try:
        with socket.create_connection(OUTSIDE, timeout=5):
            print("around the proxy: open")
            return True
    except OSError as failure:
        print(f"around the proxy: closed ({failure})")
        return False


ask()
raise SystemExit(1 if go_around() else 0)

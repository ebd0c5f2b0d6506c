"""httpx, requests and aiohttp: a call, a stream, a denial, and a destination that no Service names."""
import asyncio
import os

import aiohttp
import httpx
import requests
from done import done, refusal

API = "https://api.openai.com/v1"
AUTH = {"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]}
CHAT = {"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
UNKNOWN = "https://api.unknown.test/"


def by_requests():
    with requests.Session() as session:
        session.headers.update(AUTH)
        models = session.get(f"{API}/models").json()["object"]
        with session.post(f"{API}/chat/completions", json=CHAT, stream=True) as answer:
            events = [line for line in answer.iter_lines() if line]
        denied = session.delete(f"{API}/files/file-1")
        return [models, len(events), denied.status_code, denied.json()["code"]]


def by_httpx():
    with httpx.Client(headers=AUTH) as client:
        models = client.get(f"{API}/models").json()["object"]
        with client.stream("POST", f"{API}/chat/completions", json=CHAT) as answer:
            events = [line for line in answer.iter_lines() if line]
        denied = client.delete(f"{API}/files/file-1")
        return [models, len(events), denied.status_code, denied.json()["code"]]


async def by_aiohttp():
    async with aiohttp.ClientSession(headers=AUTH, trust_env=True) as session:
        async with session.get(f"{API}/models") as answer:
            models = (await answer.json())["object"]
        async with session.post(f"{API}/chat/completions", json=CHAT) as answer:
            events = [line async for line in answer.content if line.strip()]
        async with session.delete(f"{API}/files/file-1") as denied:
            return [models, len(events), denied.status, (await denied.json(content_type=None))["code"]]


async def get_by_aiohttp(url):
    async with aiohttp.ClientSession(trust_env=True) as session, session.get(url):
        pass


done({
    "requests": by_requests(),
    "httpx": by_httpx(),
    "aiohttp": asyncio.run(by_aiohttp()),
    "unknown": {
        "requests": refusal(lambda: requests.get(UNKNOWN)),
        "httpx": refusal(lambda: httpx.get(UNKNOWN)),
        "aiohttp": refusal(lambda: asyncio.run(get_by_aiohttp(UNKNOWN))),
    },
})

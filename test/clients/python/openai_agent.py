"""openai: calls and streams, with and without asyncio, and denials."""
import asyncio

import openai
from done import done, refusal

MESSAGES = [{"role": "user", "content": "hello"}]
MODEL = "gpt-4o-mini"

client = openai.OpenAI(max_retries=0)
whole = client.chat.completions.create(model=MODEL, messages=MESSAGES)
streamed = [event.choices[0].delta.content or "" for event in client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)]
response = client.responses.create(model=MODEL, input="hello")
with client.responses.stream(model=MODEL, input="hello") as stream:
    kinds = [event.type for event in stream]
    final = stream.get_final_response().output_text
content = b"line one\nline two\n" * 20_000
file = client.files.create(file=("data.jsonl", content), purpose="assistants")
fetched = client.files.content(file.id).read()


async def together():
    async with openai.AsyncOpenAI(max_retries=0) as other:
        answers = await asyncio.gather(*(other.chat.completions.create(model=MODEL, messages=MESSAGES) for _ in range(5)))
        events = [event async for event in await other.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)]
        return [len(answers), len(events)]


done({
    "whole": whole.choices[0].message.content,
    "streamed": "".join(streamed),
    "chunks": len(streamed),
    "response": response.output_text,
    "kinds": sorted(set(kinds)),
    "final": final,
    "roundTrip": fetched == content,
    "together": asyncio.run(together()),
    "denied": refusal(lambda: client.files.delete(file.id)),
    "mints": refusal(lambda: client.post("/organization/admin_api_keys", cast_to=object, body={"name": "x"})),
    "unknown": refusal(lambda: openai.OpenAI(base_url="https://api.unknown.test/v1", max_retries=0).models.list()),
})

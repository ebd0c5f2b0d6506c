"""anthropic: a message, streams, with and without asyncio, and a denial."""
import asyncio

import anthropic
from done import done, refusal

CALL = {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}

client = anthropic.Anthropic(max_retries=0)
whole = client.messages.create(**CALL)
with client.messages.stream(**CALL) as stream:
    streamed = list(stream.text_stream)


async def by_events():
    async with anthropic.AsyncAnthropic(max_retries=0) as other:
        return [event.type async for event in await other.messages.create(stream=True, **CALL)]


done({
    "whole": whole.content[0].text,
    "streamed": "".join(streamed),
    "chunks": len(streamed),
    "events": asyncio.run(by_events()),
    "denied": refusal(lambda: client.messages.batches.list()),
})

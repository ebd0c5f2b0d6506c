"""google-genai: a call, a stream, with and without asyncio, and denials."""
import asyncio
import warnings

from done import done, refusal
from google import genai

# Of what is experimental.
warnings.simplefilter("ignore")
CALL = {"model": "gemini-2.5-flash", "contents": "hello"}

client = genai.Client()
whole = client.models.generate_content(**CALL)
streamed = [chunk.text for chunk in client.models.generate_content_stream(**CALL)]


async def together():
    answer = await client.aio.models.generate_content(**CALL)
    chunks = [chunk.text async for chunk in await client.aio.models.generate_content_stream(**CALL)]
    return [answer.text, len(chunks)]


done({
    "whole": whole.text,
    "streamed": streamed,
    "together": asyncio.run(together()),
    "denied": refusal(lambda: client.files.list().page),
    "mints": refusal(lambda: client.auth_tokens.create()),
})

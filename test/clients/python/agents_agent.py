"""openai-agents: an agent with one tool, whole and as a stream; then what its exporter of traces meets."""
import asyncio
import logging
import sys

from agents import Agent, Runner, function_tool
from agents.tracing import get_trace_provider
from done import done

logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s %(levelname)s %(message)s")
asked = []


@function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    asked.append(city)
    return f"sunny in {city or 'nowhere'}"


async def run():
    agent = Agent(name="Assistant", instructions="Use the tool.", model="gpt-5", tools=[weather])
    whole = await Runner.run(agent, "the weather, please")
    stream = Runner.run_streamed(agent, "the weather, please")
    kinds = [event.type async for event in stream.stream_events()]
    return {"whole": whole.final_output, "items": [item.type for item in whole.new_items], "streamed": stream.final_output, "kinds": sorted(set(kinds)), "asked": len(asked)}


results = asyncio.run(run())
get_trace_provider().shutdown()
done(results)

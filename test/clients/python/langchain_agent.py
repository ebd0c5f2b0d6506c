"""langchain-openai and langchain-anthropic: invoke, stream, a tool call and its answer, a denial."""
from done import done, refusal
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings


@tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def with_tool(model):
    question = HumanMessage("the weather, please")
    bound = model.bind_tools([weather])
    asked = bound.invoke([question])
    calls = [call["name"] for call in asked.tool_calls]
    answers = [ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]) for call in asked.tool_calls]
    return {"calls": calls, "answer": bound.invoke([question, asked, *answers]).text}


def use(model):
    return {"invoke": model.invoke("hello").text, "chunks": [chunk.text for chunk in model.stream("hello")], "tool": with_tool(model)}


done({
    "openai": use(ChatOpenAI(model="gpt-4o-mini", max_retries=0)),
    "responses": use(ChatOpenAI(model="gpt-5", use_responses_api=True, max_retries=0)),
    "anthropic": use(ChatAnthropic(model="claude-sonnet-5-5", max_tokens=100, max_retries=0)),
    "embedding": len(OpenAIEmbeddings(model="text-embedding-3-small", check_embedding_ctx_length=False, max_retries=0).embed_query("hello")),
    "denied": refusal(lambda: ChatOpenAI(model="x", base_url="https://api.openai.com/v2", max_retries=0).invoke("hello")),
})

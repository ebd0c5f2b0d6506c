"""grpcio: each kind of call, a status of the upstream, and a denial."""
import grpc
from done import done

channel = grpc.secure_channel("grpc.test:443", grpc.ssl_channel_credentials())
TIMEOUT_S = 20


def failure(call):
    try:
        call()
    except grpc.RpcError as error:
        return {"code": error.code().name, "details": error.details()}
    return None


def reply_and_trailer(method, word):
    answer, call = channel.unary_unary(f"/test.Echo/{method}").with_call(word, timeout=TIMEOUT_S)
    return [answer.decode(), dict(call.trailing_metadata()).get("x-echo")]


words = iter([b"one", b"two", b"three"])
done({
    "unary": reply_and_trailer("Unary", b"hello"),
    "down": [reply.decode() for reply in channel.unary_stream("/test.Echo/Down")(b"3", timeout=TIMEOUT_S)],
    "up": channel.stream_unary("/test.Echo/Up")(words, timeout=TIMEOUT_S).decode(),
    "both": [reply.decode() for reply in channel.stream_stream("/test.Echo/Both")(iter([b"a", b"b"]), timeout=TIMEOUT_S)],
    "failed": failure(lambda: reply_and_trailer("Fails", b"x")),
    "denied": failure(lambda: reply_and_trailer("Forbidden", b"x")),
    "unknown": failure(lambda: grpc.secure_channel("unknown.test:443", grpc.ssl_channel_credentials()).unary_unary("/a.B/C")(b"", timeout=TIMEOUT_S)),
})

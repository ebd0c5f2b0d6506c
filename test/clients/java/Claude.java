import com.anthropic.client.AnthropicClient;
import com.anthropic.client.okhttp.AnthropicOkHttpClient;
import com.anthropic.core.http.ProxyAuthenticator;
import com.anthropic.core.http.StreamResponse;
import com.anthropic.models.messages.MessageCreateParams;
import com.anthropic.models.messages.RawMessageStreamEvent;
import java.net.URI;
import java.util.concurrent.Callable;

/** The SDK of Anthropic, over OkHttp. `authenticate`: with the user of HTTPS_PROXY, which OkHttp reads no other way. */
public class Claude {
  public static void main(String[] words) throws Exception {
    AnthropicOkHttpClient.Builder builder = AnthropicOkHttpClient.builder().fromEnv().maxRetries(0);
    if (words.length > 0 && words[0].equals("authenticate")) {
      String[] user = URI.create(System.getenv("HTTPS_PROXY")).getUserInfo().split(":", 2);
      builder.proxyAuthenticator(ProxyAuthenticator.basic(user[0], user[1]));
    }
    AnthropicClient client = builder.build();
    MessageCreateParams hello =
        MessageCreateParams.builder().model("claude-sonnet-4-5").maxTokens(100).addUserMessage("hello").build();
    show("message", () -> client.messages().create(hello).content().get(0).asText().text());
    show("stream", () -> {
      try (StreamResponse<RawMessageStreamEvent> stream = client.messages().createStreaming(hello)) {
        return stream.stream().count();
      }
    });
    show("denied", () -> client.models().list().data().size());
    Aws.searched();
    System.exit(0);
  }

  private static void show(String name, Callable<Object> call) {
    try {
      System.out.println(name + " " + call.call());
    } catch (Exception error) {
      StringBuilder text = new StringBuilder(name);
      for (Throwable cause = error; cause != null; cause = cause.getCause()) text.append(" <- ").append(cause.getMessage());
      System.out.println(text);
    }
  }
}

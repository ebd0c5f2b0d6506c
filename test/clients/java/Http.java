import java.net.Authenticator;
import java.net.PasswordAuthentication;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.concurrent.Callable;

/** The JDK's HttpClient, which offers HTTP/2 and takes the user of a proxy from an Authenticator alone. */
public class Http {
  private static final String API = "https://api.openai.com/v1";
  private static final String KEY = System.getenv("OPENAI_API_KEY");

  public static void main(String[] words) throws Exception {
    String[] user = URI.create(System.getenv("HTTPS_PROXY")).getUserInfo().split(":", 2);
    HttpClient client = HttpClient.newBuilder().authenticator(new Authenticator() {
      @Override
      protected PasswordAuthentication getPasswordAuthentication() {
        return new PasswordAuthentication(user[0], user[1].toCharArray());
      }
    }).build();
    String chat = "{\"model\":\"gpt-5\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}";
    show("get", () -> told(client.send(to("/models").build(), BodyHandlers.ofString())));
    show("stream", () -> client
        .send(to("/chat/completions").header("Content-Type", "application/json").POST(BodyPublishers.ofString(chat)).build(), BodyHandlers.ofLines())
        .body().filter(line -> line.startsWith("data: ")).count());
    show("upload", () -> told(client.send(upload(2_000_000), BodyHandlers.ofString())));
    show("denied", () -> told(client.send(to("/files/file-1").DELETE().build(), BodyHandlers.ofString())));
    show("unknown", () -> told(client.send(HttpRequest.newBuilder(URI.create("https://example.org/")).build(), BodyHandlers.ofString())));
    Aws.searched();
  }

  private static HttpRequest.Builder to(String path) {
    return HttpRequest.newBuilder(URI.create(API + path)).header("Authorization", "Bearer " + KEY);
  }

  private static HttpRequest upload(int length) {
    String before = "--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n"
        + "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"zero.bin\"\r\n\r\n";
    var body = BodyPublishers.concat(
        BodyPublishers.ofString(before), BodyPublishers.ofByteArray(new byte[length]), BodyPublishers.ofString("\r\n--b--\r\n"));
    return to("/files").header("Content-Type", "multipart/form-data; boundary=b").expectContinue(true).POST(body).build();
  }

  private static String told(HttpResponse<String> answer) {
    return answer.version() + " " + answer.statusCode() + " " + answer.body().replace("\n", " ");
  }

  private static void show(String name, Callable<Object> call) {
    try {
      System.out.println(name + " " + call.call());
    } catch (Exception error) {
      System.out.println(name + " " + error);
    }
  }
}

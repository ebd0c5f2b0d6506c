import java.net.Authenticator;
import java.net.HttpURLConnection;
import java.net.PasswordAuthentication;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** Calls an API with both HTTP clients of the JDK. `authenticate`: with the user of HTTPS_PROXY, which Java reads no other way. */
public class Agent {
  private static final URI MODELS = URI.create("https://api.openai.com/v1/models");

  public static void main(String[] words) throws Exception {
    HttpClient.Builder client = HttpClient.newBuilder();
    if (words.length > 0 && words[0].equals("authenticate")) {
      String[] user = URI.create(System.getenv("HTTPS_PROXY")).getUserInfo().split(":", 2);
      Authenticator authenticator = new Authenticator() {
        @Override
        protected PasswordAuthentication getPasswordAuthentication() {
          return new PasswordAuthentication(user[0], user[1].toCharArray());
        }
      };
      client.authenticator(authenticator);
      Authenticator.setDefault(authenticator);
    }
    HttpResponse<String> answer =
        client.build().send(HttpRequest.newBuilder(MODELS).build(), HttpResponse.BodyHandlers.ofString());
    System.out.println("HttpClient " + answer.statusCode());
    HttpURLConnection connection = (HttpURLConnection) MODELS.toURL().openConnection();
    System.out.println("HttpURLConnection " + connection.getResponseCode());
  }
}

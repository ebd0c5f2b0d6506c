import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.bedrockruntime.BedrockRuntimeAsyncClient;
import software.amazon.awssdk.services.bedrockruntime.model.ContentBlock;
import software.amazon.awssdk.services.bedrockruntime.model.ConversationRole;
import software.amazon.awssdk.services.bedrockruntime.model.ConverseStreamResponseHandler;
import software.amazon.awssdk.services.bedrockruntime.model.Message;
import software.amazon.awssdk.services.dynamodb.DynamoDbClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.CompletedPart;
import software.amazon.awssdk.services.sts.StsClient;

/** The SDK for AWS with default settings; what each call gave, a line each. */
public class Aws {
  private static final String BUCKET = "agent-data";
  private static final String MODEL = "anthropic.claude-3-haiku-20240307-v1:0";

  /** `use` or `misuse`, and which of their calls alone. */
  public static void main(String[] words) throws Exception {
    Map<String, Callable<Object>> calls = words[0].equals("misuse") ? misuse() : use();
    if (words.length > 1) calls.keySet().retainAll(Arrays.asList(words));
    for (Map.Entry<String, Callable<Object>> call : calls.entrySet()) {
      System.out.println(call.getKey() + " " + shown(call.getValue()));
    }
    searched();
    // Threads of clients that nobody closed.
    System.exit(0);
  }

  /** The memory of this process is looked through before it ends. */
  static void searched() throws IOException {
    System.out.println("DONE " + ProcessHandle.current().pid());
    System.in.readAllBytes();
  }

  private static String shown(Callable<Object> call) {
    try {
      return String.valueOf(call.call()).replace('\n', ' ');
    } catch (Exception error) {
      Throwable cause = error;
      StringBuilder text = new StringBuilder();
      for (; cause != null; cause = cause.getCause()) text.append(cause.getMessage()).append(" <- ");
      return text.toString().replace('\n', ' ');
    }
  }

  private static Map<String, Callable<Object>> use() {
    Map<String, Callable<Object>> calls = new LinkedHashMap<>();
    StsClient sts = StsClient.create();
    S3Client s3 = S3Client.create();
    DynamoDbClient tables = DynamoDbClient.create();
    calls.put("identity", () -> sts.getCallerIdentity().arn());
    calls.put("assumed", () -> sts.assumeRole(to -> to.roleArn("arn:aws:iam::123456789012:role/admin").roleSessionName("x")));
    calls.put("bucket", () -> s3.createBucket(to -> to.bucket(BUCKET)).sdkHttpResponse().statusCode());
    byte[] small = random(3_000);
    calls.put("buffer", () -> {
      s3.putObject(to -> to.bucket(BUCKET).key("a b/+ü//../key.bin"), RequestBody.fromBytes(small));
      return read(s3, "a b/+ü//../key.bin", small);
    });
    byte[] streamed = random(300_000);
    calls.put("stream", () -> {
      RequestBody body = RequestBody.fromInputStream(new ByteArrayInputStream(streamed), streamed.length);
      s3.putObject(to -> to.bucket(BUCKET).key("streamed.bin"), body);
      return read(s3, "streamed.bin", streamed);
    });
    calls.put("multipart", () -> multipart(s3, random(12 * 1024 * 1024)));
    calls.put("absent", () -> s3.getObjectAsBytes(of -> of.bucket(BUCKET).key("absent")));
    Map<String, AttributeValue> id = Map.of("id", AttributeValue.fromS("1"));
    Map<String, AttributeValue> item = Map.of("id", AttributeValue.fromS("1"), "text", AttributeValue.fromS("hello"));
    calls.put("putItem", () -> tables.putItem(to -> to.tableName("notes").item(item)).sdkHttpResponse().statusCode());
    calls.put("item", () -> tables.getItem(of -> of.tableName("notes").key(id)).item().get("text").s());
    calls.put("converseStream", Aws::converse);
    return calls;
  }

  private static Map<String, Callable<Object>> misuse() {
    Map<String, Callable<Object>> calls = new LinkedHashMap<>();
    var foreign = StaticCredentialsProvider.create(
        AwsBasicCredentials.create("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"));
    calls.put("realKey", () -> StsClient.builder().credentialsProvider(foreign).build().getCallerIdentity());
    calls.put("realKeyS3", () -> S3Client.builder().credentialsProvider(foreign).build().getObjectAsBytes(of -> of.bucket(BUCKET).key("a")));
    calls.put("region", () -> DynamoDbClient.builder().region(Region.EU_WEST_1).build().listTables());
    URI other = URI.create("https://dynamodb.us-east-1.amazonaws.com");
    calls.put("scope", () -> DynamoDbClient.builder().region(Region.EU_WEST_1).endpointOverride(other).build().listTables());
    return calls;
  }

  private static byte[] random(int length) {
    byte[] bytes = new byte[length];
    new Random(length).nextBytes(bytes);
    return bytes;
  }

  private static boolean read(S3Client s3, String key, byte[] expected) {
    return Arrays.equals(s3.getObjectAsBytes(of -> of.bucket(BUCKET).key(key)).asByteArray(), expected);
  }

  private static boolean multipart(S3Client s3, byte[] content) {
    String key = "multipart.bin";
    String id = s3.createMultipartUpload(to -> to.bucket(BUCKET).key(key)).uploadId();
    List<CompletedPart> parts = new ArrayList<>();
    int size = 5 * 1024 * 1024;
    for (int at = 0, number = 1; at < content.length; at += size, number++) {
      int part = number;
      byte[] bytes = Arrays.copyOfRange(content, at, Math.min(content.length, at + size));
      String tag = s3.uploadPart(to -> to.bucket(BUCKET).key(key).uploadId(id).partNumber(part), RequestBody.fromBytes(bytes)).eTag();
      parts.add(CompletedPart.builder().partNumber(part).eTag(tag).build());
    }
    s3.completeMultipartUpload(to -> to.bucket(BUCKET).key(key).uploadId(id).multipartUpload(of -> of.parts(parts)));
    return read(s3, key, content);
  }

  /** By the client of Netty, which the SDK takes for streams. */
  private static Object converse() throws Exception {
    AtomicInteger events = new AtomicInteger();
    Message hello = Message.builder().role(ConversationRole.USER).content(ContentBlock.fromText("hello")).build();
    var handler = ConverseStreamResponseHandler.builder().subscriber(event -> events.incrementAndGet()).build();
    BedrockRuntimeAsyncClient.create().converseStream(to -> to.modelId(MODEL).messages(hello), handler).get();
    return events.get();
  }
}

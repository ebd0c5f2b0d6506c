package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	bedrock "github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamo "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	events "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

var ctx = context.Background()

const bucket = "agent-data"

func configured(options ...func(*config.LoadOptions) error) aws.Config {
	loaded, err := config.LoadDefaultConfig(ctx, append(options, config.WithRetryMaxAttempts(1))...)
	if err != nil {
		panic(err)
	}
	return loaded
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func random(length int) []byte {
	bytes := make([]byte, length)
	rand.Read(bytes)
	return bytes
}

func callAWS() map[string]any {
	settings := configured()
	results := map[string]any{}
	identity, err := sts.NewFromConfig(settings).GetCallerIdentity(ctx, nil)
	results["identity"] = textOf(err)
	if err == nil {
		results["arn"] = aws.ToString(identity.Arn)
	}
	_, err = sts.NewFromConfig(settings).AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn: aws.String("arn:aws:iam::123456789012:role/admin"), RoleSessionName: aws.String("x"),
	})
	results["assumed"] = textOf(err)
	useS3(s3.NewFromConfig(settings), results)
	useTables(dynamodb.NewFromConfig(settings), results)
	converse(bedrockruntime.NewFromConfig(settings), results)
	return results
}

func useS3(client *s3.Client, results map[string]any) {
	_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)})
	results["bucket"] = textOf(err)
	wholes := map[string]any{}
	results["wholes"] = wholes
	read := func(key string, expected []byte) any {
		got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String(key)})
		if err != nil {
			return err.Error()
		}
		text, err := io.ReadAll(got.Body)
		if err != nil {
			return err.Error()
		}
		return bytes.Equal(text, expected)
	}
	put := func(key string, content []byte, body io.Reader) {
		_, err := client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: aws.String(bucket), Key: aws.String(key), Body: body, ContentLength: aws.Int64(int64(len(content))),
		})
		if err != nil {
			wholes[key] = err.Error()
			return
		}
		wholes[key] = read(key, content)
	}
	small, streamed, large := random(3_000), random(300_000), random(12*1024*1024)
	put("a b/+ü//../key.bin", small, bytes.NewReader(small))
	put("streamed.bin", streamed, io.MultiReader(bytes.NewReader(streamed)))
	_, err = transfermanager.New(client).UploadObject(ctx, &transfermanager.UploadObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("multipart.bin"), Body: io.MultiReader(bytes.NewReader(large)),
	}, func(options *transfermanager.Options) {
		options.PartSizeBytes, options.MultipartUploadThreshold = 5<<20, 5<<20
	})
	wholes["multipart.bin"] = textOf(err)
	if err == nil {
		wholes["multipart.bin"] = read("multipart.bin", large)
	}
	results["presigned"] = presigned(client, small)
	_, err = client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("absent")})
	results["absent"] = textOf(err)
}

func presigned(client *s3.Client, expected []byte) any {
	signed, err := s3.NewPresignClient(client).PresignGetObject(ctx, &s3.GetObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("a b/+ü//../key.bin"),
	})
	if err != nil {
		return err.Error()
	}
	response, err := http.Get(signed.URL)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	if !bytes.Equal(text, expected) {
		return string(text)
	}
	return true
}

func useTables(client *dynamodb.Client, results map[string]any) {
	id := map[string]dynamo.AttributeValue{"id": &dynamo.AttributeValueMemberS{Value: "1"}}
	item := map[string]dynamo.AttributeValue{"id": id["id"], "text": &dynamo.AttributeValueMemberS{Value: "hello"}}
	_, err := client.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String("notes"), Item: item})
	results["putItem"] = textOf(err)
	got, err := client.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("notes"), Key: id})
	results["getItem"] = textOf(err)
	if err == nil {
		results["item"] = got.Item["text"]
	}
}

func converse(client *bedrockruntime.Client, results map[string]any) {
	model := aws.String("anthropic.claude-3-haiku-20240307-v1:0")
	hello := []bedrock.Message{{
		Role: bedrock.ConversationRoleUser, Content: []bedrock.ContentBlock{&bedrock.ContentBlockMemberText{Value: "hello"}},
	}}
	_, err := client.Converse(ctx, &bedrockruntime.ConverseInput{ModelId: model, Messages: hello})
	results["converse"] = textOf(err)
	streamed, err := client.ConverseStream(ctx, &bedrockruntime.ConverseStreamInput{ModelId: model, Messages: hello})
	results["converseStream"] = textOf(err)
	if err != nil {
		return
	}
	count := 0
	for range streamed.GetStream().Events() {
		count++
	}
	results["events"] = count
	results["streamEnd"] = textOf(streamed.GetStream().Err())
}

// callGlobalEndpoints signs with SigV4A: these names stand for no region.
func callGlobalEndpoints() map[string]any {
	settings := configured()
	got, err := s3.NewFromConfig(settings).GetObject(ctx, &s3.GetObjectInput{
		Bucket: aws.String("arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"), Key: aws.String("a b.txt"),
	})
	results := map[string]any{"object": textOf(err)}
	if err == nil {
		text, _ := io.ReadAll(got.Body)
		results["object"] = string(text)
	}
	put, err := eventbridge.NewFromConfig(settings).PutEvents(ctx, &eventbridge.PutEventsInput{
		EndpointId: aws.String("abcde.veo"),
		Entries:    []events.PutEventsRequestEntry{{Source: aws.String("a"), DetailType: aws.String("b"), Detail: aws.String("{}")}},
	})
	results["events"] = textOf(err)
	if err == nil {
		results["failed"] = put.FailedEntryCount
	}
	return results
}

// misuseAWS sends what must not be signed; each error is shown as the SDK shows it.
func misuseAWS() map[string]any {
	foreign := credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "")
	own := configured(config.WithCredentialsProvider(foreign))
	_, realKey := sts.NewFromConfig(own).GetCallerIdentity(ctx, nil)
	_, realKeyS3 := s3.NewFromConfig(own).GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("a")})
	_, region := dynamodb.NewFromConfig(configured(config.WithRegion("eu-west-1"))).ListTables(ctx, nil)
	_, scope := dynamodb.NewFromConfig(configured(config.WithRegion("eu-west-1")), func(options *dynamodb.Options) {
		options.BaseEndpoint = aws.String("https://dynamodb.us-east-1.amazonaws.com")
	}).ListTables(ctx, nil)
	return map[string]any{
		"realKey": textOf(realKey), "realKeyS3": textOf(realKeyS3), "region": textOf(region), "scope": textOf(scope),
		"twice": signedTwice(),
	}
}

// signedTwice takes a presigned URL and adds a scheme of its own.
func signedTwice() string {
	signed, err := s3.NewPresignClient(s3.NewFromConfig(configured())).PresignGetObject(ctx, &s3.GetObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("a"),
	})
	if err != nil {
		return err.Error()
	}
	request, _ := http.NewRequest("GET", signed.URL, nil)
	request.Header.Set("Authorization", "Bearer something")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.Status + " " + string(text)
}

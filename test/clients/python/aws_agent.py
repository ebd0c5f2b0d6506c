"""boto3: sts, s3 with its default checksums and multipart, dynamodb, bedrock, and denials."""
import hashlib
import io
import os
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from done import done, refusal

CONFIG = Config(retries={"max_attempts": 1, "mode": "standard"})
BUCKET = "agent-data"
PART_BYTES = 5 * 1024 * 1024


def client(name):
    return boto3.client(name, config=CONFIG)


def fetch(presigner):
    url = presigner.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "multipart.bin"})
    with urllib.request.urlopen(url) as answer:
        return answer.read()


def digest(data):
    return hashlib.sha256(data).hexdigest()


sts, s3, dynamo, bedrock = client("sts"), client("s3"), client("dynamodb"), client("bedrock-runtime")
s3.create_bucket(Bucket=BUCKET)
small, large = os.urandom(3_000), os.urandom(2 * PART_BYTES + 1_000)
s3.put_object(Bucket=BUCKET, Key="a b/+ü//key.bin", Body=small)
s3.upload_fileobj(io.BytesIO(large), BUCKET, "multipart.bin", Config=TransferConfig(multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES))
fetched = io.BytesIO()
s3.download_fileobj(BUCKET, "multipart.bin", fetched)
dynamo.put_item(TableName="notes", Item={"id": {"S": "1"}, "text": {"S": "hello"}})
question = {"modelId": "anthropic.claude-3-haiku-20240307-v1:0", "messages": [{"role": "user", "content": [{"text": "hello"}]}]}

done({
    "arn": sts.get_caller_identity()["Arn"],
    "small": digest(s3.get_object(Bucket=BUCKET, Key="a b/+ü//key.bin")["Body"].read()) == digest(small),
    "large": digest(fetched.getvalue()) == digest(large),
    "keys": [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]],
    # The default for URLs is a signature of the year 2006, which cannot be made anew.
    "presigned": digest(fetch(boto3.client("s3", config=Config(signature_version="s3v4")))) == digest(large),
    "oldSignature": refusal(lambda: fetch(s3)),
    "item": dynamo.get_item(TableName="notes", Key={"id": {"S": "1"}})["Item"]["text"]["S"],
    "converse": bedrock.converse(**question)["output"]["message"]["content"][0]["text"],
    "streamed": "".join(event.get("contentBlockDelta", {}).get("delta", {}).get("text", "") for event in bedrock.converse_stream(**question)["stream"]),
    "denied": refusal(lambda: sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/admin", RoleSessionName="agent")),
    "region": refusal(lambda: boto3.client("s3", region_name="eu-west-1", config=CONFIG).list_buckets()),
    "service": refusal(lambda: client("sqs").list_queues()),
})

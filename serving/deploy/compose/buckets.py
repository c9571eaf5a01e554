"""Make the buckets that are not there yet; waits for the S3 server up to a minute."""

import os
import sys
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError

client = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
ends = time.monotonic() + 60
while True:
    try:
        there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
        break
    except (BotoCoreError, ClientError) as error:
        if time.monotonic() > ends:
            sys.exit(f"the object storage does not answer: {error}")
        time.sleep(1)
for name in sys.argv[1:]:
    if name not in there:
        client.create_bucket(Bucket=name)

"""AWS clients: SNS for notices, S3 for reports. The endpoint is AWS itself unless MARGIN_AWS_ENDPOINT names another."""

from __future__ import annotations

from typing import Any

import boto3
import dagster as dg
from dagster_aws.s3 import S3Resource
from pydantic import Field

from margin_platform.settings import settings


class AwsResource(dg.ConfigurableResource):
    """Credentials come from AWS's own chain (environment, profile, role); nothing is read before a client is asked for."""

    endpoint_url: str = Field(default="", description="empty takes MARGIN_AWS_ENDPOINT, or AWS itself")
    region: str = Field(default="", description="empty takes AWS_DEFAULT_REGION")

    def _where(self) -> dict[str, Any]:
        here = settings()
        return {"endpoint_url": self.endpoint_url or here.aws_endpoint_url, "region_name": self.region or here.aws_region}

    def sns(self) -> Any:
        return boto3.client("sns", **self._where())

    def s3(self) -> Any:
        return S3Resource(**self._where()).get_client()

    def upload(self, bucket: str, key: str, body: bytes, content_type: str) -> str:
        """Puts an object, making the bucket where it is missing; returns its s3:// address."""
        client = self.s3()
        if bucket not in {b["Name"] for b in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)
        return f"s3://{bucket}/{key}"

"""AWS clients: SNS for notices. The endpoint is AWS itself unless MARGIN_AWS_ENDPOINT names another."""

from __future__ import annotations

from typing import Any

import boto3
import dagster as dg
from pydantic import Field

from margin_platform.settings import settings


class AwsResource(dg.ConfigurableResource):
    """Credentials come from AWS's own chain (environment, profile, role); nothing is read before a client is asked for."""

    endpoint_url: str = Field(default="", description="empty takes MARGIN_AWS_ENDPOINT, or AWS itself")
    region: str = Field(default="", description="empty takes AWS_DEFAULT_REGION")

    def sns(self) -> Any:
        here = settings()
        return boto3.client("sns", endpoint_url=self.endpoint_url or here.aws.endpoint_url, region_name=self.region or here.aws.region)

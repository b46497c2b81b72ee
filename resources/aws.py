"""AWS clients: SNS for notices. The endpoint is AWS itself unless MARGIN_AWS_ENDPOINT names another."""

from __future__ import annotations

import boto3
import dagster as dg
from pydantic import Field

from margin_platform.notification.sns import SnsClient
from margin_platform.settings import settings


class AwsResource(dg.ConfigurableResource):
    """Credentials come from AWS's own chain (environment, profile, role);
    nothing is read before a client is asked for.
    """

    endpoint_url: str = Field(default="", description="empty takes MARGIN_AWS_ENDPOINT, or AWS itself")
    region: str = Field(default="", description="empty takes AWS_DEFAULT_REGION")

    def sns(self) -> SnsClient:
        here = settings()
        endpoint, region = self.endpoint_url or here.aws.endpoint_url, self.region or here.aws.region
        client: SnsClient = boto3.client("sns", endpoint_url=endpoint, region_name=region)
        return client

"""AWS clients: SNS for notices, S3 for the archive of anchors.

The endpoint is AWS itself unless MARGIN_AWS_ENDPOINT names another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from margin_platform.settings import settings

if TYPE_CHECKING:
    from margin_platform.notification.providers.sns import SnsClient


class AwsResource(dg.ConfigurableResource):
    """Credentials come from AWS's own chain (environment, profile, role);
    nothing is read before a client is asked for.
    """

    endpoint_url: str = Field(default="", description="empty takes MARGIN_AWS_ENDPOINT, or AWS itself")
    region: str = Field(default="", description="empty takes AWS_DEFAULT_REGION")

    def sns(self) -> SnsClient:
        client: SnsClient = self._client("sns")
        return client

    def s3(self) -> Any:
        client: Any = self._client("s3")
        return client

    def _client(self, service: str) -> Any:
        import boto3  # by what sends, not with the code location

        here = settings()
        given = here.aws.s3 if service == "s3" else here.aws.endpoint_url
        region = self.region or here.aws.region
        return boto3.client(service, endpoint_url=self.endpoint_url or given, region_name=region)

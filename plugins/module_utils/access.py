"""Who we are at AWS, or one line that says why AWS does not let us in and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

import botocore.exceptions
from botocore.config import Config

from plugins.module_utils.aws_session import aws_session


class AccessError(Exception):
    """AWS cannot be used as it is set up. The message is one line with the command that mends it."""


@dataclass(frozen=True)
class Identity:
    """The caller: a 12-digit account id and the ARN of the user or role."""

    account_id: str
    arn: str


_MENDS = {
    "ExpiredToken": "the AWS session has expired; run `aws sso login` or get new credentials",
    "ExpiredTokenException": "the AWS session has expired; run `aws sso login` or get new credentials",
    "InvalidClientTokenId": "AWS does not know this access key; run `aws configure` or set another AWS_PROFILE",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key; run `aws configure`",
    "AuthFailure": "AWS does not accept these credentials; run `aws configure`",
    "OptInRequired": "the account is not signed up for this service or region; enable it in the AWS console",
}


def identify(region: str) -> Identity:
    """Ask AWS who we are.

    :param region: region id; STS is asked there, so that a region that is not enabled shows here and not in the middle.
    :raises AccessError: with no credentials, refused ones, or no answer.
    """
    try:
        session = aws_session(region)
        if session.get_credentials() is None:
            raise AccessError(
                "no AWS credentials; run `aws configure` or `aws sso login`, or set AWS_PROFILE "
                "(without AWS: `make demo` and -i inventories/lab)"
            )
        client = session.client(
            "sts", config=Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 4})
        )
        caller = client.get_caller_identity()
    except botocore.exceptions.ProfileNotFound as error:
        raise AccessError(f"{error}; `aws configure list-profiles` shows those that exist") from error
    except botocore.exceptions.EndpointConnectionError as error:
        raise AccessError(f"no answer from AWS in {region}: {error}; check the network and the region") from error
    except botocore.exceptions.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        detail = " ".join(str(error).split())
        raise AccessError(_MENDS.get(code, f"AWS refuses us: {detail}; check the credentials")) from error
    except botocore.exceptions.BotoCoreError as error:
        detail = " ".join(str(error).split())
        raise AccessError(f"AWS cannot be asked: {detail}; check `aws sts get-caller-identity`") from error
    return Identity(account_id=caller["Account"], arn=caller["Arn"])

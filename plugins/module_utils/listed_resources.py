"""A set of resources as one list: the end that our modules for such sets have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from botocore.exceptions import BotoCoreError, ClientError


def run(
    service: str,
    words: str,
    arguments: Mapping[str, Any],
    ensure: Callable[[AnsibleAWSModule, Any], dict[str, Any]],
    mistakes: tuple[type[Exception], ...] = (ValueError,),
) -> None:
    """Be the module of a set whose names begin with the option C(prefix).

    :param service: boto3's name of the service.
    :param words: what the resources are called, for messages.
    :param arguments: its options beside the prefix and the tags.
    :param ensure: does the work and returns the module's result.
    :param mistakes: what it raises when somebody has to mend something; the text says what.
    """
    module = AnsibleAWSModule(
        argument_spec={
            "prefix": {"type": "str", "required": True},
            **arguments,
            "tags": {"type": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    try:
        result = ensure(module, module.client(service))
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg=f"{words} {module.params['prefix']}*")
    except mistakes as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)

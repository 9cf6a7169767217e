"""What the controller plugins that ask AWS have in common."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.plugins.action import ActionBase
from botocore.exceptions import BotoCoreError, ClientError


class AwsAction(ActionBase):  # type: ignore[misc]
    """Run on the controller, whatever the host of the play, and fail with one line when AWS does not answer."""

    _requires_connection = False

    takes: ClassVar[dict[str, Any]]
    """The argument spec."""
    failure: str
    """What AWS's error means here."""

    def ask(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Return the module's results; its texts are plain ``str``."""
        raise NotImplementedError

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the results, or fail with one line."""
        super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=self.takes)
        # Ansible's own text types would reach botocore's serialisers.
        plain = {name: str(value) if isinstance(value, str) else value for name, value in arguments.items()}
        try:
            return {"changed": False, **self.ask(plain, task_vars or {})}
        except (BotoCoreError, ClientError) as error:
            return {"changed": False, "failed": True, "msg": f"{self.failure}: {' '.join(str(error).split())}"}

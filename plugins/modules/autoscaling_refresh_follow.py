#!/usr/bin/python
"""Options of autoscaling_refresh_follow; plugins/action/ has what does the work on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: autoscaling_refresh_follow
short_description: Follow an instance refresh to its end
description:
  - Waits on the controller until an instance refresh has ended and prints how far it is whenever that changes and every
    O(report_seconds).
  - Auto Scaling tries for an hour to start instances that do not come into service before it gives up. This rolls the
    refresh back after O(failed_launches) of them, and when O(timeout) has passed, and follows that, too.
  - Says of each instance that failed why, with the last lines of its console, which EC2 keeps for an hour.
  - Ends well however the refresh ended; C(succeeded) says how.
options:
  name:
    description: Name of the Auto Scaling group.
    type: str
    required: true
  instance_refresh_id:
    description: The refresh.
    type: str
    required: true
  failed_launches:
    description: How many instances may fail to come into service, or become unhealthy, before it is rolled back.
    type: int
    default: 2
  timeout:
    description: Seconds after which it is rolled back. A rollback is followed for as long again.
    type: int
    default: 3600
  poll_seconds:
    description: Seconds between two looks.
    type: float
    default: 5
  report_seconds:
    description: Seconds between two lines of progress while nothing changes.
    type: float
    default: 30
  log_lines:
    description: Lines of a failed instance's console.
    type: int
    default: 12
author:
  - Vahana
"""

EXAMPLES = r"""
- name: Follow the refresh
  autoscaling_refresh_follow:
    name: vahanhelp-prod-backend
    instance_refresh_id: "{{ refresh.instance_refresh_id }}"
  register: end
"""

RETURN = r"""
succeeded:
  description: Whether all instances were replaced.
  returned: always
  type: bool
status:
  description: Status of the refresh.
  returned: always
  type: str
reason:
  description: Why it did not succeed; empty when it did.
  returned: always
  type: str
failed_instances:
  description: Instances that failed, each with C(instance_id), C(reason) and C(log), a list of lines.
  returned: always
  type: list
  elements: dict
refresh:
  description: The refresh as DescribeInstanceRefreshes gives it, in snake case.
  returned: always
  type: dict
waited_seconds:
  description: How long was waited.
  returned: always
  type: int
"""

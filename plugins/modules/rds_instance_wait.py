#!/usr/bin/python
"""Options of rds_instance_wait; the work is done on the controller by plugins/action/rds_instance_wait.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rds_instance_wait
short_description: Wait until a database instance is available or gone
description:
  - Waits on the controller for an Amazon RDS instance and prints its status with the time elapsed whenever it changes
    and every O(report_seconds).
  - Fails at once when the instance is in a status it does not leave by itself.
  - Changes nothing. In check mode it looks once and does not wait.
options:
  db_instance_identifier:
    description: Identifier of the instance.
    type: str
    required: true
  region:
    description: Its region, where it is not the run's first.
    type: str
  state:
    description:
      - What to wait for. One whose storage is being optimized is available, too; that takes hours. One whose new master
        password is not in force yet is not, whatever its status is.
      - V(promoted) is available and no replica any more.
    type: str
    choices: [available, promoted, absent]
    default: available
  timeout:
    description: How long to wait, in seconds. A Multi-AZ instance takes 10 to 20 minutes to create.
    type: int
    default: 2700
  poll_seconds:
    description: Seconds between two looks.
    type: float
    default: 5
  report_seconds:
    description: Seconds between two lines of progress while the status stays the same.
    type: float
    default: 30
author:
  - Vahana
"""

EXAMPLES = r"""
- name: Wait for the database
  rds_instance_wait:
    db_instance_identifier: vahanhelp-prod
  register: database
"""

RETURN = r"""
instance:
  description: The instance as DescribeDBInstances gives it, in snake case. Empty when there is none.
  returned: always
  type: dict
waited_seconds:
  description: How long was waited.
  returned: always
  type: int
"""

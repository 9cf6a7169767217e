"""Alarms that go off by metrics, tell a topic, and the mail that comes of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.utils import utcnow

from lab import haproxy, mailbox, settings
from lab.reconcilers.alarms import Alarms, points_of
from lab.reconcilers.measurements import Counters, Measurements, connections

REGION = "us-east-1"
Client = Callable[[str], Any]


@pytest.fixture
def looking(lab_account: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Alarms]:
    monkeypatch.setenv("VAHANA_LAB_HOME", str(tmp_path))
    made = Alarms()
    yield made
    made.close()


def backend() -> Any:
    return cloudwatch_backends[settings.ACCOUNT_ID][REGION]


def alarm(client: Client, **more: Any) -> None:
    topic = client("sns").create_topic(Name="alarms")["TopicArn"]
    client("sns").subscribe(TopicArn=topic, Protocol="email", Endpoint="ops@example.com")
    wanted = {
        "AlarmName": "cpu",
        "Namespace": "AWS/EC2",
        "MetricName": "CPUUtilization",
        "Dimensions": [{"Name": "InstanceId", "Value": "i-1"}],
        "Statistic": "Average",
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Threshold": 80,
        "Period": 60,
        "EvaluationPeriods": 2,
        "AlarmActions": [topic],
        "OKActions": [topic],
    }
    client("cloudwatch").put_metric_alarm(**{**wanted, **more})


def state(client: Client) -> str:
    return str(client("cloudwatch").describe_alarms(AlarmNames=["cpu"])["MetricAlarms"][0]["StateValue"])


def measure(client: Client, *values: float, instance: str = "i-1", at: datetime | None = None) -> None:
    for value in values:
        client("cloudwatch").put_metric_data(
            Namespace="AWS/EC2",
            MetricData=[
                {
                    "MetricName": "CPUUtilization",
                    "Value": value,
                    "Dimensions": [{"Name": "InstanceId", "Value": instance}],
                    "Timestamp": at or utcnow(),
                }
            ],
        )


def test_an_alarm_goes_off_and_tells_by_mail(client: Client, looking: Alarms) -> None:
    alarm(client)
    assert state(client) == "INSUFFICIENT_DATA"
    minute = utcnow().replace(second=0, microsecond=0)
    now = minute.replace(tzinfo=UTC).timestamp() + 61
    measure(client, 95, at=minute)
    measure(client, 1, instance="i-2", at=minute)
    looking.evaluate(backend(), 1, now)
    # One breaching datapoint, and two are needed.
    assert state(client) == "INSUFFICIENT_DATA"
    measure(client, 97, at=minute + timedelta(seconds=60))
    looking.evaluate(backend(), 1, now + 60)
    assert state(client) == "ALARM"
    [mail] = mailbox.read("ops@example.com")
    assert mail["subject"] == 'ALARM: "cpu" in us-east-1'
    assert "INSUFFICIENT_DATA -> ALARM" in mail["text"]
    assert "2 out of the last 2 datapoints [97, 95] were greater than or equal to the threshold (80)" in mail["text"]
    looking.evaluate(backend(), 1, now + 60)
    assert len(list(mailbox.read())) == 1
    # What is changed keeps its state until it is looked at.
    alarm(client, Threshold=99)
    assert state(client) == "ALARM"
    looking.evaluate(backend(), 1, now + 60)
    assert state(client) == "OK"
    assert [mail["subject"] for mail in mailbox.read()][1] == 'OK: "cpu" in us-east-1'
    assert list(mailbox.read("somebody@example.com")) == []


def test_a_topic_gets_what_cloudwatch_sends(client: Client, looking: Alarms) -> None:
    alarm(client, EvaluationPeriods=1, TreatMissingData="breaching")
    queue = client("sqs").create_queue(QueueName="told")["QueueUrl"]
    arn = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = client("sns").list_topics()["Topics"][0]["TopicArn"]
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    looking.evaluate(backend(), 1, time.time())
    body = json.loads(client("sqs").receive_message(QueueUrl=queue)["Messages"][0]["Body"])
    message = json.loads(body["Message"])
    assert (message["NewStateValue"], message["OldStateValue"]) == ("ALARM", "INSUFFICIENT_DATA")
    assert message["Trigger"]["MetricName"] == "CPUUtilization"


def test_an_encrypted_topic_is_told_when_its_key_lets_cloudwatch(client: Client, looking: Alarms) -> None:
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    alarm(client, EvaluationPeriods=1, TreatMissingData="breaching")
    topic = client("sns").list_topics()["Topics"][0]["TopicArn"]
    client("sns").set_topic_attributes(TopicArn=topic, AttributeName="KmsMasterKeyId", AttributeValue=key)
    looking.evaluate(backend(), 1, time.time())
    assert state(client) == "ALARM" and list(mailbox.read()) == []
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:SourceAccount": settings.ACCOUNT_ID}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    client("kms").put_key_policy(KeyId=key, PolicyName="default", Policy=policy)
    alarm(client, EvaluationPeriods=1, TreatMissingData="notBreaching")
    looking.evaluate(backend(), 1, time.time())
    assert [mail["subject"] for mail in mailbox.read("ops@example.com")] == ['OK: "cpu" in us-east-1']


def test_old_values_are_forgotten(client: Client, looking: Alarms) -> None:
    measure(client, 1, 2, 3)
    looking.evaluate(backend(), 1, time.time() + 1800)
    assert len(backend().metric_data) == 3
    looking.evaluate(backend(), 1, time.time() + 7200)
    assert backend().metric_data == []


def test_datapoints_of_whole_periods() -> None:
    values = [(100.0, 1.0), (119.0, 3.0), (121.0, 5.0), (185.0, 99.0)]
    assert points_of(values, "Average", 60, 3, 190.0) == [None, 2.0, 5.0]
    assert points_of(values, "Maximum", 10, 2, 190.0) == [None, 99.0]
    assert points_of([(120.0, 7.0), (180.0, 8.0)], "Sum", 60, 2, 190.0) == [None, 7.0]


def test_what_was_added_to_counters() -> None:
    counters = Counters()
    assert [counters.added("a", value) for value in (10, 13, 13, 2)] == [0, 3, 0, 2]
    assert counters.added("b", 5) == 0


def test_clients_of_a_database() -> None:
    table = """  sl  local_address rem_address   st tx_queue
   0: 00000000:1538 00000000:0000 0A 00000000:00000000
   1: 0501000A:1538 0601000A:C350 01 00000000:00000000
   2: 0501000A:1538 0701000A:C351 06 00000000:00000000
   3: 0501000A:0016 0701000A:C351 01 00000000:00000000
"""
    assert connections(table) == 1


def test_traffic_of_a_load_balancer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = "# pxname,svname,req_tot,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,rtime,\n"
    looks = [
        "listener-80,FRONTEND,10,9,0,0,1,,\ngroup,i-1,,9,0,0,0,5,\ngroup,BACKEND,,9,0,0,1,5,\n",
        "listener-80,FRONTEND,30,24,0,0,6,,\ngroup,i-1,,24,0,0,2,40,\ngroup,BACKEND,,24,0,0,6,40,\n",
        "listener-80,FRONTEND,30,24,0,0,6,,\ngroup,i-1,,24,0,0,2,40,\ngroup,BACKEND,,24,0,0,6,40,\n",
    ]
    answers = iter(columns + look for look in looks)
    monkeypatch.setattr(settings, "runtime", lambda: tmp_path)
    monkeypatch.setattr(haproxy.Runtime, "command", lambda _self, _text: next(answers))
    (tmp_path / "lb").mkdir()
    (tmp_path / "lb/admin.sock").touch()
    measurements = Measurements()
    assert [dict(measurements._traffic("lb")) for _ in looks] == [
        {},
        {
            "HTTPCode_Target_2XX_Count": 15,
            "HTTPCode_Target_5XX_Count": 2,
            "HTTPCode_ELB_5XX_Count": 3,
            "RequestCount": 20,
            "TargetResponseTime": 0.04,
        },
        {},
    ]


def test_queues_and_healthy_hosts_are_reported(client: Client) -> None:
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.attach_internet_gateway(
        VpcId=vpc, InternetGatewayId=ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    )
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"]
        for number, zone in enumerate("ab")
    ]
    elb = client("elbv2")
    balancer = elb.create_load_balancer(Name="b", Subnets=[each["SubnetId"] for each in subnets])["LoadBalancers"][0]
    group = elb.create_target_group(Name="g", Protocol="HTTP", Port=80, VpcId=subnets[0]["VpcId"])["TargetGroups"][0]
    elb.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
    )
    queue = client("sqs").create_queue(QueueName="email")["QueueUrl"]
    client("sqs").send_message(QueueUrl=queue, MessageBody="x")
    Measurements().reconcile()
    found = {
        (datum.name, tuple(each.value for each in datum.dimensions)): datum.value for datum in backend().metric_data
    }
    assert found["ApproximateNumberOfMessagesVisible", ("email",)] == 1
    assert 0 <= found["ApproximateAgeOfOldestMessage", ("email",)] < 60
    short = balancer["LoadBalancerArn"].split(":loadbalancer/")[1]
    hosts = (short, group["TargetGroupArn"].rpartition(":")[2])
    assert (found["HealthyHostCount", hosts], found["UnHealthyHostCount", hosts]) == (0, 0)

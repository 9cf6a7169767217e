"""Back to the release before, by the way of a deployment."""

from __future__ import annotations

from tests.ops.conftest import PARAMETERS, TAGS, Account, approved, publish


def test_back_and_forth(account: Account, front_door: str) -> None:
    ssm, ec2 = account.client("ssm"), account.client("ec2")
    ssm.put_parameter(Name=f"{PARAMETERS}/tier", Value="minimal", Type="String", Tags=TAGS)
    ssm.put_parameter(Name=f"{PARAMETERS}/release", Value="1.0.0", Type="String", Tags=TAGS)
    own = [{"Key": "vahana:role", "Value": "backend"}, {"Key": "vahana:tier", "Value": "minimal"}]
    image = ec2.register_image(Name="any", RootDeviceName="/dev/xvda", Architecture="x86_64")["ImageId"]
    ec2.run_instances(
        ImageId=image,
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": [*TAGS, *own]}],
    )
    arguments = ("-e", f"public_url={front_door}")
    alone = account.play("rollback", *arguments)
    assert alone.code != 0
    assert "No release but 1.0.0 was ever in service" in alone.output

    ssm.put_parameter(Name=f"{PARAMETERS}/release", Value="2.0.0", Overwrite=True)
    # Named in the history, gone from the bucket.
    publish(account, "2.0.0")
    gone = account.play("rollback", *arguments)
    assert gone.code != 0
    assert "there is no release '1.0.0'; there are 2.0.0" in gone.output
    assert approved(account) == "2.0.0"

    publish(account, "1.0.0")
    back = account.play("rollback", *arguments)
    assert back.code == 0, back.output
    assert "rollback: 2.0.0 → 1.0.0" in back.output
    assert approved(account) == "1.0.0"
    last = account.history()[-1]
    assert (last["verb"], last["from"], last["to"], last["result"]) == ("rollback", "2.0.0", "1.0.0", "ok")

    named = account.play("rollback", "-e", "to=2.0.0", *arguments)
    assert named.code == 0, named.output
    assert approved(account) == "2.0.0"

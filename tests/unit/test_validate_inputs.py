"""The rules for inputs, one by one, and the tools that a run needs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from plugins.module_utils import tools
from plugins.module_utils.inputs import OTHER_NAMES, Knowledge, Option, check_inputs
from plugins.module_utils.kinds import check_kinds
from plugins.module_utils.project import ROOT, knowledge, known_variables, read_variables, words_of
from plugins.module_utils.source_inputs import START_FILE, check_release_sources

TIERS = ["minimal", "basic", "full", "serverless", "microservices"]
KNOWN = Knowledge(
    tiers=TIERS,
    regions={"us-east-1", "us-west-1", "eu-central-1"},
    variables=dict.fromkeys(("tier", "domain", "compute_min_size", "network_vpc_cidr"), Option()),
    sources={"network_vpc_cidr": "group_vars/tier_basic.yml"},
    given=["tier"],
)
GOOD: dict[str, Any] = {
    "tier": "basic",
    "layers": ["network", "database", "load_balancer", "compute"],
    "aws_region": "us-east-1",
    "app_name": "vahanhelp",
    "deploy_env": "prod",
    "domain": "cars.example.com",
    "release": "1.0.0-3f2a91c0b7de",
    "network_vpc_cidr": "10.0.0.0/16",
    "network_public_subnet_cidrs": ["10.0.1.0/24", "10.0.2.0/24"],
    "network_database_subnet_cidrs": ["10.0.5.0/24", "10.0.6.0/24"],
    "network_availability_zones": ["us-east-1a", "us-east-1b"],
    "network_load_balancer_ports": [80, 443],
    "backend_port": 3000,
    "compute_min_size": 2,
    "compute_desired_capacity": "",
    "compute_max_size": 4,
    "compute_instance_type": "t3.micro",
    "compute_volume_size": 8,
    "database_instance_class": "db.t3.micro",
    "database_allocated_storage": 20,
    "database_engine_version": "17",
    "database_backup_retention_days": 7,
    "monitoring_email": "",
    "pipeline_repository": "you/cars",
    "pipeline_branch": "main",
    "pipeline_bake_time": 300,
}


PRIVATE: dict[str, Any] = {
    "network_private_subnet_cidrs": ["10.0.3.0/24", "10.0.4.0/24"],
    "network_nat_gateways": "one",
}


def lines(known: Knowledge = KNOWN, **changes: Any) -> list[str]:
    """Return what is said about the good inputs with some of them changed."""
    return [str(problem) for problem in check_inputs({**GOOD, **changes}, known)]


def test_good_inputs_pass() -> None:
    assert lines() == []


def test_private_subnets_with_a_way_out_pass() -> None:
    assert lines(**PRIVATE) == []
    assert lines(**{**PRIVATE, "network_nat_gateways": "per_zone"}, compute_max_size=500) == []
    endpoints = {"network_nat_gateways": "none", "network_interface_endpoints": ["sqs"]}
    assert lines(**{**PRIVATE, **endpoints}) == []


def test_numbers_may_come_as_text_from_the_command_line() -> None:
    assert lines(compute_min_size="2", compute_max_size="3", backend_port="8080") == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"tier": "bsic"},
            "tier (-e): unknown tier 'bsic'; did you mean basic? "
            "one of minimal, basic, full, serverless, microservices",
        ),
        ({"aws_region": "us-esat-1"}, "did you mean us-east-1?"),
        ({"app_name": "Vahan_Help"}, "cannot be part of AWS names"),
        ({"deploy_env": "a-very-long-environment"}, "leaves room for 24"),
        ({"app_name": "internal"}, "may not begin with 'internal-'"),
        ({"app_name": "awsome"}, "'awsome' begins with aws or ssm"),
        ({"app_name": "ssm-cars"}, "Parameter Store keeps these"),
        ({"domain": "https://cars.example.com/"}, "write the name alone"),
        ({"domain": "Cars.Example.com"}, "write it in lower case: cars.example.com"),
        ({"domain": "localhost"}, "write a full name"),
        ({"release": "../etc"}, "'../etc' is not a release name"),
        ({"network_vpc_cidr": "10.0.0.0/33"}, "network_vpc_cidr (group_vars/tier_basic.yml): '10.0.0.0/33' is not an"),
        ({"network_vpc_cidr": "10.0.1.0/16"}, "the network is 10.0.0.0/16"),
        ({"network_vpc_cidr": "10.0.0.0/8"}, "10.0.0.0/8 is too large"),
        ({"network_database_subnet_cidrs": ["10.1.5.0/24", "10.0.6.0/24"]}, "10.1.5.0/24 is outside the VPC"),
        ({"network_database_subnet_cidrs": ["10.0.5.0/24", "10.0.5.0/25"]}, "10.0.5.0/25 overlaps 10.0.5.0/24"),
        ({"network_database_subnet_cidrs": ["10.0.1.0/24", "10.0.6.0/24"]}, "overlaps 10.0.1.0/24 (network_public"),
        ({"network_database_subnet_cidrs": ["10.0.5.0/29", "10.0.6.0/24"]}, "10.0.5.0/29 is too small"),
        ({"network_public_subnet_cidrs": ["10.0.1.0/28", "10.0.2.0/24"]}, "too small for a load balancer"),
        ({"network_public_subnet_cidrs": ["10.0.1.0/24"]}, "it needs 2 availability zones"),
        ({"network_database_subnet_cidrs": []}, "0 subnet for the database"),
        ({"network_public_subnet_cidrs": "10.0.1.0/24"}, "is not a list of networks"),
        ({**PRIVATE, "network_private_subnet_cidrs": ["10.0.3.0/24"]}, "it needs 2 availability zones"),
        (
            {**PRIVATE, "network_private_subnet_cidrs": ["10.0.1.0/24", "10.0.4.0/24"]},
            "overlaps 10.0.1.0/24 (network_p",
        ),
        ({**PRIVATE, "network_private_subnet_cidrs": ["10.1.3.0/24", "10.0.4.0/24"]}, "10.1.3.0/24 is outside the VPC"),
        (
            {**PRIVATE, "network_private_subnet_cidrs": ["10.0.3.0/24", "10.0.4.0/24", "10.0.7.0/24"]},
            "3 private subnets and 2 public ones",
        ),
        ({**PRIVATE, "network_nat_gateways": "none"}, "reach neither AWS's APIs nor package mirrors"),
        ({"network_nat_gateways": "two"}, "unknown 'two'; one of none, one, per_zone"),
        (
            {"containers_strategy": "blue-green"},
            "unknown strategy 'blue-green'; did you mean blue_green? one of rolling, blue_green",
        ),
        ({"containers_bake_minutes": "-1"}, "'-1' is not a number of minutes to bake for; give 0 to 1440"),
        ({**PRIVATE, "network_private_subnet_cidrs": ["10.0.3.0/28", "10.0.4.0/28"], "compute_max_size": 24}, "for 22"),
        ({"network_availability_zones": ["us-east-1a", "us-east-1a"]}, "names a zone twice"),
        ({"network_availability_zones": ["eu-west-1a", "us-east-1b"]}, "'eu-west-1a' is not in us-east-1"),
        ({"network_availability_zones": ["us-east-1a"]}, "fewer than two availability zones"),
        ({"network_availability_zones": "us-east-1a"}, "is not a list"),
        ({"compute_min_size": 5}, "5 is more than compute_max_size (4)"),
        ({"compute_desired_capacity": 1}, "1 is less than compute_min_size (2)"),
        ({"compute_desired_capacity": 9}, "9 is more than compute_max_size (4)"),
        ({"compute_min_size": "two"}, "'two' is not a number of instances"),
        ({"compute_min_size": True}, "'True' is not a number of instances"),
        ({"compute_min_size": 0, "compute_max_size": 0}, "0 leaves no instance"),
        ({"compute_max_size": 900}, "900 instances do not fit"),
        ({"compute_instance_type": "t3micro"}, "'t3micro' is not an instance type"),
        ({"database_instance_class": "t3.micro"}, "is not a database instance class"),
        ({"database_engine_version": "15.x"}, "is not a PostgreSQL version"),
        ({"database_allocated_storage": 5}, "give 20 to 65536 GiB"),
        ({"database_backup_retention_days": 0}, "give 1 to 35 days"),
        ({"firewall_rate_limit": 5}, "give 10 to 2000000000 requests in 5 minutes"),
        ({"audit_budget": -1}, "give 0 to 10000000 USD a month"),
        ({"monitoring_log_retention_days": 31}, "knows no 31 days; give one of 1, 3, 5, 7, 14, 30,"),
        ({"backend_port": 70000}, "'70000' is not a port"),
        ({"backend_port": 22}, "port 22 is SSH's"),
        ({"network_load_balancer_ports": 80}, "is not a list of ports"),
        ({"monitoring_email": "ops"}, "is not an e-mail address"),
        ({"pipeline_repository": "https://github.com/you/cars"}, "is not a repository"),
        ({"network_vpc_cidr": "0.0.0.0/16"}, "is kept for other things"),
        ({"release": 1.4}, "put it in quotes"),
        ({"domain": "192.0.2.7"}, "is not a domain name"),
        ({"pipeline_repository": "cars"}, "write it like owner/name"),
        ({"pipeline_branch": "-main"}, "is not a branch"),
        ({"pipeline_bake_time": "a while"}, "give 0 to 172800 seconds"),
    ],
)
def test_each_rule_names_the_fault_and_its_mend(change: dict[str, Any], expected: str) -> None:
    found = lines(**change)
    assert len(found) == 1, found
    assert expected in found[0]
    assert "\n" not in found[0]


def test_all_faults_are_found_at_once() -> None:
    found = lines(tier="bsic", aws_region="mars", compute_min_size=9, domain="x y", release="a/b")
    assert len(found) == 5


def test_a_misspelt_variable_is_named() -> None:
    known = Knowledge(TIERS, KNOWN.regions, KNOWN.variables, {}, ["tierr", "compute_min_sise", "something_own"])
    assert lines(known) == [
        "tierr (-e): nothing reads a variable of this name; did you mean tier?",
        "compute_min_sise (-e): nothing reads a variable of this name; did you mean compute_min_size?",
    ]


def test_the_projects_own_tiers_are_right() -> None:
    """The data of every tier passes its own rules as far as it needs no template."""
    data = (ROOT / "group_vars").glob("tier_*.yml")
    assert {file.stem for file in data} == {f"tier_{tier}" for tier in TIERS}

    def load(path: str) -> Any:
        import yaml

        return yaml.safe_load(Path(path).read_text())

    for tier in TIERS:
        values, sources = read_variables(ROOT, tier, load)
        plain = {name: value for name, value in values.items() if "{{" not in str(value)}
        found = check_inputs({**plain, "tier": tier}, knowledge(ROOT, sources, TIERS, {}))
        assert [str(problem) for problem in found] == []
        assert sources["layers"] == f"group_vars/tier_{tier}.yml"


def test_known_variables_are_those_of_group_vars_and_roles() -> None:
    assert {"tier", "app_name", "compute_min_size", "preflight_build", "network_vpc_cidr"} <= set(known_variables(ROOT))
    assert known_variables(ROOT)["keep_snapshot"].type == "bool"


def test_a_name_that_nothing_reads_is_refused(tmp_path: Path) -> None:
    known = replace(KNOWN, given=["colour", "env", "ansible_user"], own=frozenset({"chat"}))
    assert lines(known) == [
        "colour (-e): nothing reads a variable of this name; leave it out: no hook of yours names it either",
        "env (-e): playbooks know it by another name; write -e deploy_env=…",
    ]
    # Who runs a module by itself, or a playbook of their own, may read what they like.
    assert lines(replace(KNOWN, given=["colour"])) == []
    (tmp_path / "after_deploy.yml").write_text("- name: Paint\n  ansible.builtin.debug:\n    msg: '{{ colour }}'\n")
    assert lines(replace(KNOWN, given=["colour"], own=words_of(tmp_path))) == []
    # Two of the project's playbooks use such a word, which is no name of a variable there.
    for word in ("environment", "region"):
        told = knowledge(ROOT, {}, TIERS, {word: "x"}, {"args": ("playbooks/deploy.yml",)})
        assert [str(each) for each in check_inputs({}, told)] == [
            f"{word} (-e): playbooks know it by another name; write -e {OTHER_NAMES[word]}=…"
        ]


def test_names_of_the_users_own(tmp_path: Path) -> None:
    def unknown(playbook: str, inventory: Path, **given: Any) -> list[str]:
        arguments = {"args": (playbook,), "inventory": (str(inventory),)}
        return [each.name for each in check_inputs({}, knowledge(ROOT, {}, TIERS, given, arguments))]

    # One is for another's value, one for the inventory, and the last for nothing.
    given = {"where": "example.com", "domain": "cars.{{ where }}", "ssh_proxy_options": "", "colour": "red"}
    assert unknown("site.yml", ROOT / "inventories/aws", **given) == ["colour"]
    assert unknown(str(tmp_path / "mine.yml"), ROOT / "inventories/aws", **given) == []
    (tmp_path / "hosts.yml").write_text("all: {vars: {paint: '{{ colour }}'}}")
    (tmp_path / "key").write_bytes(bytes(range(256)))
    assert unknown("site.yml", tmp_path, colour="red") == []


def test_sources_are_looked_at_where_they_are_built(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    for name in ("package.json", "package-lock.json"):
        (tmp_path / name).write_text(json.dumps({"scripts": {"migrate": "true"}}))
    (tmp_path / "src").mkdir()
    (tmp_path / START_FILE).touch()
    values = {"layers": [], "release_backend_source": str(tmp_path), "release_frontend_source": str(tmp_path / "web")}

    def found(verb: str, more: dict[str, Any] = {}, **known: Any) -> list[str]:  # noqa: B006
        about = replace(KNOWN, verb=verb, **known)
        return [each.name for each in check_release_sources({**values, **more}, about, ROOT)]

    assert found("site") == ["release_frontend_source"]
    assert found("deploy", {"service": "cars"}) == found("site", whole=False) == found("status") == []
    assert found("site", {"release": "1.0.0"}) == []
    assert found("site", {"release": "1.0.0", "release_build_named": "true"}) == ["release_frontend_source"]
    defaults = yaml.safe_load((ROOT / "roles/release/defaults/main.yml").read_text())
    assert defaults["release_start_file"] == START_FILE


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("keep_snapshot", "yse", "keep_snapshot (-e): 'yse' is neither yes nor no; true or false"),
        ("keep_snapshot", "y", "keep_snapshot (-e): 'y' is neither yes nor no; true or false"),
        ("full", "2", "full (-e): '2' is neither yes nor no; true or false"),
        ("database_multi_az", "maybe", "database_multi_az (-e): 'maybe' is neither yes nor no; true or false"),
        ("compute_health_check_grace_period", "soon", "'soon' is not a whole number; e.g. 3"),
        ("release_hooks_directory", "", None),
        ("database_multi_az", "{{ true }}", None),
        ("database_multi_az", "No", None),
        ("keep_snapshot", False, None),
        # Has a rule of its own.
        ("deploy_batches", "1,50%", None),
    ],
)
def test_what_is_of_the_wrong_kind_is_refused(name: str, value: Any, expected: str | None) -> None:
    found = [str(each) for each in check_kinds({name: value}, knowledge(ROOT, {}, TIERS, {name: value}))]
    assert len(found) == (expected is not None), found
    assert not expected or found[0].endswith(expected)


def test_the_files_are_of_the_right_kinds() -> None:
    for tier in TIERS:
        values, sources = read_variables(ROOT, tier, lambda path: yaml.safe_load(Path(path).read_text()))
        assert list(check_kinds(values, knowledge(ROOT, sources, TIERS, {}))) == []


def test_versions_are_read_from_what_programs_print() -> None:
    assert tools.version_in("OpenSSH_9.2p1 Debian-2+deb12u6, OpenSSL 3.0.19 27 Jan 2026") == (9, 2)
    assert tools.version_in("v24.15.0") == (24, 15, 0)
    assert tools.version_in("aws-cli/2.31.3 Python/3.13") == (2, 31, 3)
    assert tools.version_in("nothing") == ()


def test_a_missing_and_an_old_tool_are_named_with_their_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "ssh"
    old.write_text("#!/bin/sh\necho OpenSSH_8.4p1 >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = tools.Tool("vahana-no-such-tool", ("-V",), (1,), "install it")
    found = tools.tool_problems([tools.SSH, missing])
    assert found[0].startswith(f"{old} is version 8.4, 8.5 is needed; install OpenSSH")
    assert found[1] == "vahana-no-such-tool is not installed; install it"


def test_collections_are_compared_by_version(tmp_path: Path) -> None:
    for name, version in (("amazon", "11.4.0"), ("community", "10.0.0")):
        directory = tmp_path / "ansible_collections" / name / "aws"
        directory.mkdir(parents=True)
        (directory / "MANIFEST.json").write_text(json.dumps({"collection_info": {"version": version}}))
    installed = tools.installed_collections([tmp_path])
    assert installed == {"amazon.aws": (11, 4, 0), "community.aws": (10, 0, 0)}
    required = {"amazon.aws": (11, 4, 0), "community.aws": (11, 2, 0), "community.crypto": (3, 0, 0)}
    problems = tools.collection_problems(required, installed)
    assert len(problems) == 2
    assert "community.aws is version 10.0.0, 11.2.0 is needed" in problems[0]
    assert "community.crypto is not installed" in problems[1]
    assert tools.collection_problems(required, {**installed, "community.aws": (12, 0, 0)})[0].startswith(
        "the collection community.aws is version 12.0.0"
    )


def test_this_machine_has_what_the_project_requires() -> None:
    import sys

    installed = tools.installed_collections(Path(path) for path in sys.path)
    assert tools.collection_problems(tools.required_collections(ROOT / "requirements.yml"), installed) == []


SERVERLESS: dict[str, Any] = {"tier": "serverless", "layers": ["table", "api"], "region_layers": ["api"]}


@pytest.mark.parametrize(
    ("regions", "changes", "problem"),
    [
        ("us-east-1,eu-centrl-1", {}, "unknown region 'eu-centrl-1'"),
        ("us-east-1,us-east-1", {}, "names a region twice"),
        (
            "us-east-1,us-west-1,eu-central-1",
            {},
            "3 regions: a distribution of CloudFront has one origin to fail over to",
        ),
        ("us-west-1,us-east-1", {}, "begins with us-west-1, and the environment is in us-east-1"),
        ("us-east-1,us-west-1", {"domain": ""}, "several regions, and no domain"),
        ("us-east-1,us-west-1", {"region_layers": []}, "tier serverless is built in one region only"),
        (["us-east-1", "us-west-1"], {}, "is not a text"),
    ],
)
def test_regions_that_cannot_work_are_refused(regions: Any, changes: dict[str, Any], problem: str) -> None:
    [line] = lines(replace(KNOWN, given=["regions"]), **{**SERVERLESS, "regions": regions, **changes})
    assert problem in line


@pytest.mark.parametrize("regions", ["us-east-1", "us-east-1,us-west-1"])
def test_one_region_or_two_are_fine(regions: str) -> None:
    assert lines(replace(KNOWN, given=["regions"]), **{**SERVERLESS, "regions": regions}) == []


def test_a_part_of_an_environment_can_be_looked_at() -> None:
    """The environment of a further region knows of all, and not as the first; only a run that changes it is refused."""
    elsewhere = {"aws_region": "us-west-1", "network_availability_zones": [], "regions": "us-east-1,us-west-1"}
    assert lines(**{**SERVERLESS, **elsewhere}) == []


SERVICES: dict[str, Any] = {
    "tier": "microservices",
    "layers": ["network", "load_balancer", "containers"],
    "region_layers": ["network", "load_balancer", "containers"],
    "load_balancer_paths": {"auth": ["/api/auth"], "notification": ["/api/notification"]},
}
TWO = {"regions": "us-east-1,ap-southeast-1"}


@pytest.mark.parametrize(
    ("names", "changes", "problem"),
    [
        (("a" * 19, "prod"), {}, ""),
        (("a" * 20, "prod"), {}, "'-backend' and leaves room for 24"),
        (("a" * 14, "prod"), SERVICES, ""),
        (
            ("a" * 15, "prod"),
            SERVICES,
            "the target group of notification ends in '-notification' and leaves room for 19",
        ),
        (("a" * 12, "prod"), {**SERVICES, "containers_strategy": "blue_green"}, ""),
        (
            ("a" * 13, "prod"),
            {**SERVICES, "containers_strategy": "blue_green"},
            "the second target group of notification ends in '-notification-2' and leaves room for 17",
        ),
        # The default names, with the longest name of a region.
        (("vahanhelp", "prod"), {**SERVICES, **TWO}, ""),
        (
            ("a" * 13, "prod"),
            {**SERVICES, **TWO, "load_balancer_paths": {"a": []}},
            "the load balancer in ap-southeast-1",
        ),
        (
            ("vahanhelp", "prod"),
            {**SERVICES, **TWO, "load_balancer_paths": {}},
            "'-ap-southeast-1-backend' and leaves room for 9",
        ),
        # Without a load balancer there, a region's name is in none that is short.
        (("a" * 19, "prod"), {**SERVERLESS, **TWO}, ""),
    ],
)
def test_every_name_of_a_load_balancer_and_a_target_group_has_room(
    names: tuple[str, str], changes: dict[str, Any], problem: str
) -> None:
    known = replace(KNOWN, tiers=["basic", "serverless", "microservices"], regions=["us-east-1", "ap-southeast-1"])
    found = lines(known, **{**changes, "app_name": names[0], "deploy_env": names[1]})
    assert len(found) == (1 if problem else 0)
    assert all(problem in line for line in found)

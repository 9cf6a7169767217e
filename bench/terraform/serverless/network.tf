# Of the function that answers, and of its cache: nothing leads out of it.
data "aws_availability_zones" "this" {
  state = "available"
}

locals {
  network_layer = { "vahana:layer" = "network" }
  zones         = slice(data.aws_availability_zones.this.names, 0, 2)
}

resource "aws_vpc" "this" {
  cidr_block           = "10.0.0.0/16"
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = merge(local.network_layer, { Name = "${local.common.name}-vpc" })
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
  tags   = merge(local.network_layer, { Name = "${local.common.name}-igw" })
}

resource "aws_subnet" "private" {
  for_each          = { "10.0.3.0/24" = local.zones[0], "10.0.4.0/24" = local.zones[1] }
  vpc_id            = aws_vpc.this.id
  cidr_block        = each.key
  availability_zone = each.value
  tags = merge(local.network_layer, {
    Name            = "${local.common.name}-private-${trimprefix(each.value, "us-east-")}"
    "vahana:subnet" = "private"
  })
}

resource "aws_subnet" "database" {
  for_each          = { "10.0.5.0/24" = local.zones[0], "10.0.6.0/24" = local.zones[1] }
  vpc_id            = aws_vpc.this.id
  cidr_block        = each.key
  availability_zone = each.value
  tags = merge(local.network_layer, {
    Name            = "${local.common.name}-database-${trimprefix(each.value, "us-east-")}"
    "vahana:subnet" = "database"
  })
}

# Routes

resource "aws_route_table" "private" {
  for_each = { "10.0.3.0/24" = 1, "10.0.4.0/24" = 2 }
  vpc_id   = aws_vpc.this.id
  tags     = merge(local.network_layer, { Name = "${local.common.name}-private-${each.value}" })
}

resource "aws_route_table_association" "private" {
  for_each       = aws_subnet.private
  subnet_id      = each.value.id
  route_table_id = aws_route_table.private[each.key].id
}

resource "aws_route_table" "database" {
  vpc_id = aws_vpc.this.id
  tags   = merge(local.network_layer, { Name = "${local.common.name}-database" })
}

resource "aws_route_table_association" "database" {
  for_each       = aws_subnet.database
  subnet_id      = each.value.id
  route_table_id = aws_route_table.database.id
}

locals {
  endpoint_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "OwnAccount"
      Effect    = "Allow"
      Principal = "*"
      Action    = "*"
      Resource  = "*"
      Condition = { StringEquals = { "aws:PrincipalAccount" = local.common.account } }
    }]
  })
}

resource "aws_vpc_endpoint" "gateway" {
  for_each        = toset(["s3", "dynamodb"])
  vpc_id          = aws_vpc.this.id
  service_name    = "com.amazonaws.${var.region}.${each.key}"
  route_table_ids = [for table in aws_route_table.private : table.id]
  policy          = local.endpoint_policy
  tags            = merge(local.network_layer, { Name = "${local.common.name}-${each.key}" })
}

# One zone: in each further one it would cost as much again.
resource "aws_vpc_endpoint" "interface" {
  for_each            = toset(["secretsmanager", "sqs", "ssm"])
  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.${var.region}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = [aws_subnet.private["10.0.3.0/24"].id]
  security_group_ids  = [aws_security_group.this["endpoints"].id]
  policy              = local.endpoint_policy
  tags                = merge(local.network_layer, { Name = "${local.common.name}-${each.key}" })
}

# Who may talk to whom

locals {
  groups = {
    backend   = "Backend"
    cache     = "Cache"
    endpoints = "Endpoints of AWS services"
  }
  # Group, port, and whom it is open to: a range or another group.
  ingress = {
    cache     = ["cache", 6379, "backend", "Backend"]
    endpoints = ["endpoints", 443, "backend", "Backend"]
  }
  egress = {
    to-http  = ["backend", 80, "0.0.0.0/0", "Package mirrors and AWS"]
    to-https = ["backend", 443, "0.0.0.0/0", "Package mirrors and AWS"]
    to-cache = ["backend", 6379, "cache", "Cache"]
  }
}

resource "aws_security_group" "this" {
  for_each    = local.groups
  name        = "${local.common.name}-${each.key}"
  description = each.value
  vpc_id      = aws_vpc.this.id
  tags        = merge(local.network_layer, { Name = "${local.common.name}-${each.key}" })
}

resource "aws_vpc_security_group_ingress_rule" "this" {
  for_each                     = local.ingress
  security_group_id            = aws_security_group.this[each.value[0]].id
  ip_protocol                  = "tcp"
  from_port                    = each.value[1]
  to_port                      = each.value[1]
  cidr_ipv4                    = strcontains(each.value[2], "/") ? each.value[2] : null
  referenced_security_group_id = strcontains(each.value[2], "/") ? null : aws_security_group.this[each.value[2]].id
  description                  = each.value[3]
}

resource "aws_vpc_security_group_egress_rule" "this" {
  for_each                     = local.egress
  security_group_id            = aws_security_group.this[each.value[0]].id
  ip_protocol                  = "tcp"
  from_port                    = each.value[1]
  to_port                      = each.value[1]
  cidr_ipv4                    = strcontains(each.value[2], "/") ? each.value[2] : null
  referenced_security_group_id = strcontains(each.value[2], "/") ? null : aws_security_group.this[each.value[2]].id
  description                  = each.value[3]
}

# Emptied: nothing shall use it by accident.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
}

# An ACL knows packets, not connections: answers to what is asked from inside come to ports from 1024 on.
resource "aws_default_network_acl" "this" {
  default_network_acl_id = aws_vpc.this.default_network_acl_id
  dynamic "ingress" {
    for_each = {
      100 = { protocol = "all", from = 0, to = 0, cidr = aws_vpc.this.cidr_block }
      110 = { protocol = "tcp", from = 1024, to = 65535, cidr = "0.0.0.0/0" }
      120 = { protocol = "udp", from = 1024, to = 65535, cidr = "0.0.0.0/0" }
      130 = { protocol = "icmp", from = 0, to = 0, cidr = "0.0.0.0/0" }
    }
    content {
      rule_no    = ingress.key
      action     = "allow"
      protocol   = ingress.value.protocol
      from_port  = ingress.value.from
      to_port    = ingress.value.to
      cidr_block = ingress.value.cidr
      icmp_type  = ingress.value.protocol == "icmp" ? -1 : null
      icmp_code  = ingress.value.protocol == "icmp" ? -1 : null
    }
  }
  egress {
    rule_no    = 100
    action     = "allow"
    protocol   = "all"
    from_port  = 0
    to_port    = 0
    cidr_block = "0.0.0.0/0"
  }
  # Subnets that name no ACL are in this one.
  lifecycle {
    ignore_changes = [subnet_ids]
  }
}

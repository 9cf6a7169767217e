resource "aws_vpc" "this" {
  cidr_block           = "10.0.0.0/16"
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = merge(local.layer.network, { Name = "${local.name}-vpc" })
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
  tags   = merge(local.layer.network, { Name = "${local.name}-igw" })
}

resource "aws_subnet" "public" {
  vpc_id                  = aws_vpc.this.id
  cidr_block              = "10.0.1.0/24"
  availability_zone       = local.zone
  map_public_ip_on_launch = true
  tags = merge(local.layer.network, {
    Name            = "${local.name}-public-${trimprefix(local.zone, "us-east-")}"
    "vahana:subnet" = "public"
  })
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
  tags   = merge(local.layer.network, { Name = "${local.name}-public" })
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  subnet_id      = aws_subnet.public.id
  route_table_id = aws_route_table.public.id
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id          = aws_vpc.this.id
  service_name    = "com.amazonaws.${var.region}.s3"
  route_table_ids = [aws_route_table.public.id]
  tags            = merge(local.layer.network, { Name = "${local.name}-s3" })
}

locals {
  groups = {
    backend = "Backend"
    connect = "EC2 Instance Connect Endpoint"
  }
  # Group, port, and whom it is open to: a range or another group.
  ingress = {
    visitors     = ["backend", 80, "0.0.0.0/0", "Visitors"]
    from-connect = ["backend", 22, "connect", "SSH"]
  }
  egress = {
    to-http  = ["backend", 80, "0.0.0.0/0", "Package mirrors and AWS"]
    to-https = ["backend", 443, "0.0.0.0/0", "Package mirrors and AWS"]
    to-ssh   = ["connect", 22, "backend", "SSH"]
  }
}

resource "aws_security_group" "this" {
  for_each    = local.groups
  name        = "${local.name}-${each.key}"
  description = each.value
  vpc_id      = aws_vpc.this.id
  tags        = merge(local.layer.network, { Name = "${local.name}-${each.key}" })
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

resource "aws_ec2_instance_connect_endpoint" "this" {
  subnet_id          = aws_subnet.public.id
  security_group_ids = [aws_security_group.this["connect"].id]
  preserve_client_ip = false
  tags               = merge(local.layer.network, { Name = "${local.name}-connect" })
}

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
  for_each          = { "10.0.1.0/24" = local.zones[0], "10.0.2.0/24" = local.zones[1] }
  vpc_id            = aws_vpc.this.id
  cidr_block        = each.key
  availability_zone = each.value
  tags = merge(local.layer.network, {
    Name            = "${local.name}-public-${trimprefix(each.value, "us-east-")}"
    "vahana:subnet" = "public"
  })
}

resource "aws_subnet" "private" {
  for_each          = { "10.0.3.0/24" = local.zones[0], "10.0.4.0/24" = local.zones[1] }
  vpc_id            = aws_vpc.this.id
  cidr_block        = each.key
  availability_zone = each.value
  tags = merge(local.layer.network, {
    Name            = "${local.name}-private-${trimprefix(each.value, "us-east-")}"
    "vahana:subnet" = "private"
  })
}

resource "aws_subnet" "database" {
  for_each          = { "10.0.5.0/24" = local.zones[0], "10.0.6.0/24" = local.zones[1] }
  vpc_id            = aws_vpc.this.id
  cidr_block        = each.key
  availability_zone = each.value
  tags = merge(local.layer.network, {
    Name            = "${local.name}-database-${trimprefix(each.value, "us-east-")}"
    "vahana:subnet" = "database"
  })
}

# Routes

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
  for_each       = aws_subnet.public
  subnet_id      = each.value.id
  route_table_id = aws_route_table.public.id
}

resource "aws_eip" "nat" {
  domain     = "vpc"
  tags       = merge(local.layer.network, { Name = "${local.name}-nat-1" })
  depends_on = [aws_internet_gateway.this]
}

resource "aws_nat_gateway" "this" {
  subnet_id     = aws_subnet.public["10.0.1.0/24"].id
  allocation_id = aws_eip.nat.id
  tags          = merge(local.layer.network, { Name = "${local.name}-nat-1" })
  depends_on    = [aws_internet_gateway.this]
}

resource "aws_route_table" "private" {
  for_each = { "10.0.3.0/24" = 1, "10.0.4.0/24" = 2 }
  vpc_id   = aws_vpc.this.id
  tags     = merge(local.layer.network, { Name = "${local.name}-private-${each.value}" })
}

resource "aws_route" "nat" {
  for_each               = aws_route_table.private
  route_table_id         = each.value.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this.id
}

resource "aws_route_table_association" "private" {
  for_each       = aws_subnet.private
  subnet_id      = each.value.id
  route_table_id = aws_route_table.private[each.key].id
}

resource "aws_route_table" "database" {
  vpc_id = aws_vpc.this.id
  tags   = merge(local.layer.network, { Name = "${local.name}-database" })
}

resource "aws_route_table_association" "database" {
  for_each       = aws_subnet.database
  subnet_id      = each.value.id
  route_table_id = aws_route_table.database.id
}

resource "aws_vpc_endpoint" "this" {
  for_each     = toset(["s3", "dynamodb"])
  vpc_id       = aws_vpc.this.id
  service_name = "com.amazonaws.${var.region}.${each.key}"
  route_table_ids = concat(
    [aws_route_table.public.id], [for table in aws_route_table.private : table.id], [aws_route_table.database.id],
  )
  tags = merge(local.layer.network, { Name = "${local.name}-${each.key}" })
}

resource "aws_flow_log" "this" {
  vpc_id                   = aws_vpc.this.id
  traffic_type             = "ALL"
  log_destination_type     = "s3"
  log_destination          = "arn:aws:s3:::${local.buckets.logs}/flow-logs"
  max_aggregation_interval = 600
  tags                     = merge(local.layer.network, { Name = "${local.name}-flow-log" })
  depends_on               = [aws_s3_bucket_policy.logs]
}

# Who may talk to whom

locals {
  groups = {
    load-balancer = "Load balancer"
    backend       = "Backend"
    database      = "Database"
    cache         = "Cache"
    connect       = "EC2 Instance Connect Endpoint"
  }
  # Group, port, and whom it is open to: a range or another group.
  ingress = {
    visitors-http      = ["load-balancer", 80, "0.0.0.0/0", "Visitors"]
    visitors-https     = ["load-balancer", 443, "0.0.0.0/0", "Visitors"]
    from-load-balancer = ["backend", 3000, "load-balancer", "Load balancer"]
    from-connect       = ["backend", 22, "connect", "SSH"]
    database           = ["database", 5432, "backend", "Backend"]
    cache              = ["cache", 6379, "backend", "Backend"]
  }
  egress = {
    to-backend  = ["load-balancer", 3000, "backend", "Requests and health checks"]
    to-http     = ["backend", 80, "0.0.0.0/0", "Package mirrors and AWS"]
    to-https    = ["backend", 443, "0.0.0.0/0", "Package mirrors and AWS"]
    to-database = ["backend", 5432, "database", "Database"]
    to-cache    = ["backend", 6379, "cache", "Cache"]
    to-ssh      = ["connect", 22, "backend", "SSH"]
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
  subnet_id          = aws_subnet.public["10.0.1.0/24"].id
  security_group_ids = [aws_security_group.this["connect"].id]
  preserve_client_ip = false
  tags               = merge(local.layer.network, { Name = "${local.name}-connect" })
}

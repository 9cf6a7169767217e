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
  # Images come by it: their layers are in S3.
  for_each     = toset(["s3"])
  vpc_id       = aws_vpc.this.id
  service_name = "com.amazonaws.${var.region}.${each.key}"
  route_table_ids = concat(
    [aws_route_table.public.id], [for table in aws_route_table.private : table.id], [aws_route_table.database.id],
  )
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OwnAccount"
        Effect    = "Allow"
        Principal = "*"
        Action    = "*"
        Resource  = "*"
        Condition = { StringEquals = { "aws:PrincipalAccount" = local.account } }
      },
      # ECR keeps the layers of images in buckets of AWS's own, and whoever pulls one has AWS's signature.
      {
        Sid       = "LayersOfImages"
        Effect    = "Allow"
        Principal = "*"
        Action    = "s3:GetObject"
        Resource  = "arn:aws:s3:::prod-${var.region}-starport-layer-bucket/*"
      },
    ]
  })
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
  }
  # Group, port, and whom it is open to: a range or another group.
  ingress = {
    visitors-http      = ["load-balancer", 80, "0.0.0.0/0", "Visitors"]
    visitors-https     = ["load-balancer", 443, "0.0.0.0/0", "Visitors"]
    from-load-balancer = ["backend", local.port, "load-balancer", "Load balancer"]
    among-services     = ["backend", local.port, "backend", "Other services"]
    database           = ["database", 5432, "backend", "Backend"]
    cache              = ["cache", 6379, "backend", "Backend"]
  }
  egress = {
    to-backend  = ["load-balancer", local.port, "backend", "Requests and health checks"]
    to-http     = ["backend", 80, "0.0.0.0/0", "Package mirrors and AWS"]
    to-https    = ["backend", 443, "0.0.0.0/0", "Package mirrors and AWS"]
    to-database = ["backend", 5432, "database", "Database"]
    to-cache    = ["backend", 6379, "cache", "Cache"]
    to-services = ["backend", local.port, "backend", "Other services"]
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

# An ACL knows packets, not connections: answers to what is asked from inside come to ports from 1024 on.
resource "aws_default_network_acl" "this" {
  default_network_acl_id = aws_vpc.this.default_network_acl_id
  dynamic "ingress" {
    for_each = {
      100 = { protocol = "all", from = 0, to = 0, cidr = aws_vpc.this.cidr_block }
      110 = { protocol = "tcp", from = 80, to = 80, cidr = "0.0.0.0/0" }
      120 = { protocol = "tcp", from = 443, to = 443, cidr = "0.0.0.0/0" }
      130 = { protocol = "tcp", from = 1024, to = 65535, cidr = "0.0.0.0/0" }
      140 = { protocol = "udp", from = 1024, to = 65535, cidr = "0.0.0.0/0" }
      150 = { protocol = "icmp", from = 0, to = 0, cidr = "0.0.0.0/0" }
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

# The tier basic as roles/ makes it, resource for resource; the differences that are left are in ../../README.md.
terraform {
  required_version = ">= 1.11"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region            = var.region
  s3_use_path_style = true
  default_tags {
    tags = {
      "vahana:app"  = var.app
      "vahana:env"  = var.env
      "vahana:tier" = "basic"
    }
  }
}

data "aws_caller_identity" "this" {}

data "aws_availability_zones" "this" {
  state = "available"
}

locals {
  name      = "${var.app}-${var.env}"
  prefix    = "/${var.app}/${var.env}"
  account   = data.aws_caller_identity.this.account_id
  zones     = slice(data.aws_availability_zones.this.names, 0, 2)
  layer     = { for layer in ["environment", "identity", "network", "storage", "database", "load_balancer", "image", "compute", "edge", "release", "monitoring"] : layer => { "vahana:layer" = layer } }
  releases  = "${local.name}-releases-${local.account}"
  frontend  = "${local.name}-frontend-${local.account}"
  artifacts = fileset(var.release_folder, "*")
  release   = basename(var.release_folder)
}

# Small state

resource "aws_ssm_parameter" "tier" {
  name        = "${local.prefix}/tier"
  description = "Tier of this environment"
  type        = "String"
  value       = "basic"
  tags        = local.layer.environment
}

resource "aws_ssm_parameter" "release" {
  name        = "${local.prefix}/release"
  description = "Release that instances of this environment start with"
  type        = "String"
  value       = local.release
  tags        = local.layer.release
}

# The image is baked before, as with Packer, and found by its name.
data "aws_ami" "backend" {
  owners = ["self"]
  filter {
    name   = "name"
    values = ["${local.name}-backend-*"]
  }
  most_recent = true
}

resource "aws_ssm_parameter" "image" {
  name  = "${local.prefix}/image"
  type  = "String"
  value = data.aws_ami.backend.tags["vahana:image"]
  tags  = local.layer.image
}

# Storage

resource "aws_s3_bucket" "this" {
  for_each      = toset([local.releases, local.frontend])
  bucket        = each.key
  force_destroy = true
  tags          = local.layer.storage
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = aws_s3_bucket.this
  bucket   = each.value.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = aws_s3_bucket.this
  bucket   = each.value.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each                = aws_s3_bucket.this
  bucket                  = each.value.id
  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "releases" {
  bucket = aws_s3_bucket.this[local.releases].id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  for_each = aws_s3_bucket.this
  bucket   = each.value.id
  rule {
    id     = "tidy"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
    dynamic "noncurrent_version_expiration" {
      for_each = each.key == local.releases ? [90] : []
      content {
        noncurrent_days = noncurrent_version_expiration.value
      }
    }
  }
  depends_on = [aws_s3_bucket_versioning.releases]
}

resource "aws_s3_bucket_policy" "releases" {
  bucket = aws_s3_bucket.this[local.releases].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "DenyPlainHttp"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = ["arn:aws:s3:::${local.releases}", "arn:aws:s3:::${local.releases}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

resource "aws_s3_bucket_policy" "frontend" {
  bucket = aws_s3_bucket.this[local.frontend].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "ReadByDistribution"
        Effect    = "Allow"
        Principal = { Service = "cloudfront.amazonaws.com" }
        Action    = "s3:GetObject"
        Resource  = "arn:aws:s3:::${local.frontend}/*"
        Condition = { StringEquals = { "AWS:SourceArn" = aws_cloudfront_distribution.this.arn } }
      },
      {
        Sid       = "OnlyTls"
        Effect    = "Deny"
        Principal = "*"
        Action    = "s3:*"
        Resource  = ["arn:aws:s3:::${local.frontend}", "arn:aws:s3:::${local.frontend}/*"]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_s3_object" "release" {
  for_each    = local.artifacts
  bucket      = aws_s3_bucket.this[local.releases].id
  key         = "releases/${local.release}/${each.key}"
  source      = "${var.release_folder}/${each.key}"
  source_hash = filemd5("${var.release_folder}/${each.key}")
  depends_on  = [aws_s3_bucket_versioning.releases]
}

# Database

resource "aws_db_subnet_group" "this" {
  name        = local.name
  description = "Subnets of the database of ${local.name}"
  subnet_ids  = [for subnet in aws_subnet.database : subnet.id]
  tags        = local.layer.database
}

resource "aws_db_instance" "this" {
  identifier                 = local.name
  engine                     = "postgres"
  engine_version             = "17"
  db_name                    = var.app
  db_subnet_group_name       = aws_db_subnet_group.this.name
  storage_encrypted          = true
  port                       = 5432
  username                   = var.app
  password_wo                = ephemeral.aws_secretsmanager_random_password.database.random_password
  password_wo_version        = 1
  instance_class             = "db.t3.micro"
  allocated_storage          = 20
  storage_type               = "gp3"
  multi_az                   = true
  publicly_accessible        = false
  vpc_security_group_ids     = [aws_security_group.this["database"].id]
  backup_retention_period    = 7
  copy_tags_to_snapshot      = true
  auto_minor_version_upgrade = true
  # destroy could not lift it in the same run.
  deletion_protection       = false
  skip_final_snapshot       = false
  final_snapshot_identifier = "${local.name}-final"
  apply_immediately         = true
  tags                      = local.layer.database
}

resource "aws_ssm_parameter" "database" {
  name        = "${local.prefix}/database"
  description = "Where the database of ${local.name} is; its password is in the secret named here"
  type        = "String"
  value = jsonencode({
    engine = "postgres"
    host   = aws_db_instance.this.address
    port   = aws_db_instance.this.port
    name   = aws_db_instance.this.db_name
    secret = "${local.prefix}/database"
  })
  tags = local.layer.database
}

# Load balancer

resource "aws_lb" "this" {
  name                       = local.name
  internal                   = false
  load_balancer_type         = "application"
  subnets                    = [for subnet in aws_subnet.public : subnet.id]
  security_groups            = [aws_security_group.this["load-balancer"].id]
  idle_timeout               = 60
  drop_invalid_header_fields = true
  tags                       = merge(local.layer.load_balancer, { Name = local.name })
  depends_on                 = [aws_internet_gateway.this]
}

resource "aws_lb_target_group" "backend" {
  name                 = "${local.name}-backend"
  target_type          = "instance"
  vpc_id               = aws_vpc.this.id
  protocol             = "HTTP"
  port                 = 3000
  deregistration_delay = 30
  health_check {
    protocol            = "HTTP"
    path                = "/api/health?live=true"
    interval            = 5
    timeout             = 3
    healthy_threshold   = 2
    unhealthy_threshold = 2
    matcher             = "200"
  }
  tags = merge(local.layer.load_balancer, { Name = "${local.name}-backend" })
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  protocol          = "HTTP"
  port              = 80
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.backend.arn
  }
}

# Compute

resource "aws_launch_template" "backend" {
  name                   = "${local.name}-backend"
  image_id               = data.aws_ami.backend.id
  instance_type          = "t3.micro"
  key_name               = aws_key_pair.this.key_name
  vpc_security_group_ids = [aws_security_group.this["backend"].id]
  update_default_version = true
  iam_instance_profile {
    name = aws_iam_instance_profile.instance.name
  }
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_type           = "gp3"
      volume_size           = 8
      encrypted             = true
      delete_on_termination = true
    }
  }
  user_data = base64encode(templatefile("${path.module}/user_data.sh.tftpl", {
    boot = jsonencode({
      app                = var.app
      env                = var.env
      region             = var.region
      port               = 3000
      releases_bucket    = local.releases
      parameter_prefix   = local.prefix
      secrets            = ["${local.prefix}/backend"]
      database           = { engine = "postgres", parameter = "${local.prefix}/database" }
      auto_scaling_group = "${local.name}-backend"
      lifecycle_hook     = "${local.name}-launch"
    })
  }))
  dynamic "tag_specifications" {
    for_each = ["instance", "volume"]
    content {
      resource_type = tag_specifications.value
      tags = merge(local.layer.compute, {
        Name          = "${local.name}-backend"
        "vahana:app"  = var.app
        "vahana:env"  = var.env
        "vahana:tier" = "basic"
        "vahana:role" = "backend"
      })
    }
  }
  tags = merge(local.layer.compute, { Name = "${local.name}-backend" })
}

resource "aws_autoscaling_group" "backend" {
  name                      = "${local.name}-backend"
  min_size                  = 2
  max_size                  = 4
  vpc_zone_identifier       = [for subnet in aws_subnet.public : subnet.id]
  target_group_arns         = [aws_lb_target_group.backend.arn]
  health_check_type         = "ELB"
  health_check_grace_period = 60
  min_elb_capacity          = 2
  enabled_metrics = [
    "GroupMinSize", "GroupMaxSize", "GroupDesiredCapacity", "GroupInServiceInstances", "GroupPendingInstances",
    "GroupStandbyInstances", "GroupTerminatingInstances", "GroupTotalInstances",
  ]
  launch_template {
    id      = aws_launch_template.backend.id
    version = aws_launch_template.backend.latest_version
  }
  initial_lifecycle_hook {
    name                 = "${local.name}-launch"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    heartbeat_timeout    = 600
    default_result       = "ABANDON"
  }
  dynamic "tag" {
    for_each = merge(local.layer.compute, {
      Name          = "${local.name}-backend"
      "vahana:app"  = var.app
      "vahana:env"  = var.env
      "vahana:tier" = "basic"
    })
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false
    }
  }
  # Instances read all of it when they start.
  depends_on = [
    aws_lb_listener.http, aws_s3_object.release, aws_ssm_parameter.release, aws_ssm_parameter.database,
    aws_secretsmanager_secret_version.this, aws_iam_role_policy.instance,
  ]
}

resource "aws_autoscaling_policy" "cpu" {
  name                      = "${local.name}-backend-cpu"
  autoscaling_group_name    = aws_autoscaling_group.backend.name
  policy_type               = "TargetTrackingScaling"
  estimated_instance_warmup = 120
  target_tracking_configuration {
    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
    target_value = 60
  }
}

# Edge

resource "aws_cloudfront_function" "spa" {
  name    = "${local.name}-spa"
  comment = "Single page application routes"
  runtime = "cloudfront-js-2.0"
  publish = true
  code    = file(var.page_function_file)
}

resource "aws_cloudfront_origin_access_control" "frontend" {
  name                              = "${local.name}-frontend"
  description                       = "vahana:app=${var.app} vahana:env=${var.env}"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

resource "aws_cloudfront_distribution" "this" {
  comment             = local.name
  enabled             = true
  is_ipv6_enabled     = true
  http_version        = "http2and3"
  price_class         = "PriceClass_100"
  default_root_object = "index.html"
  origin {
    origin_id                = "frontend"
    domain_name              = aws_s3_bucket.this[local.frontend].bucket_regional_domain_name
    origin_access_control_id = aws_cloudfront_origin_access_control.frontend.id
  }
  origin {
    origin_id   = "backend"
    domain_name = aws_lb.this.dns_name
    custom_origin_config {
      http_port                = 80
      https_port               = 443
      origin_protocol_policy   = "http-only"
      origin_ssl_protocols     = ["TLSv1.2"]
      origin_keepalive_timeout = 55
    }
  }
  default_cache_behavior {
    target_origin_id           = "frontend"
    cache_policy_id            = "658327ea-f89d-4fab-a63d-7e88639e58f6"
    response_headers_policy_id = "67f7725c-6f97-4210-82d7-5512b31e9d03"
    viewer_protocol_policy     = "redirect-to-https"
    allowed_methods            = ["GET", "HEAD"]
    cached_methods             = ["GET", "HEAD"]
    compress                   = true
    function_association {
      event_type   = "viewer-request"
      function_arn = aws_cloudfront_function.spa.arn
    }
  }
  ordered_cache_behavior {
    path_pattern               = "/api/*"
    target_origin_id           = "backend"
    cache_policy_id            = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    origin_request_policy_id   = "216adef6-5c7f-47e4-b989-5492eafa07d3"
    response_headers_policy_id = "67f7725c-6f97-4210-82d7-5512b31e9d03"
    viewer_protocol_policy     = "redirect-to-https"
    allowed_methods            = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    cached_methods             = ["GET", "HEAD"]
    compress                   = true
  }
  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }
  viewer_certificate {
    cloudfront_default_certificate = true
  }
  tags = merge(local.layer.edge, { Name = local.name })
}

# Monitoring

resource "aws_sns_topic" "alarms" {
  name         = "${local.name}-alarms"
  display_name = local.name
  tags         = merge(local.layer.monitoring, { Name = "${local.name}-alarms" })
}

locals {
  balancer_dimension = { LoadBalancer = aws_lb.this.arn_suffix }
  alarms = {
    backend-errors = {
      description = "The backend answers with errors (5xx). Read the logs of its hosts."
      namespace   = "AWS/ApplicationELB"
      metric      = "HTTPCode_Target_5XX_Count"
      dimensions  = local.balancer_dimension
      statistic   = "Sum"
      threshold   = 10
      missing     = "notBreaching"
    }
    backend-unhealthy = {
      description = "The load balancer finds a target unhealthy. The group replaces it; if this lasts, its replacements fail too."
      namespace   = "AWS/ApplicationELB"
      metric      = "UnHealthyHostCount"
      dimensions  = merge(local.balancer_dimension, { TargetGroup = aws_lb_target_group.backend.arn_suffix })
      statistic   = "Maximum"
      threshold   = 1
    }
    backend-cpu = {
      description = "The group is at its limit in spite of scaling. Raise compute_max_size or the instance type."
      namespace   = "AWS/EC2"
      metric      = "CPUUtilization"
      dimensions  = { AutoScalingGroupName = aws_autoscaling_group.backend.name }
      threshold   = 80
      period      = 300
      periods     = 3
    }
    database-cpu = {
      description = "The database works at its limit. Look for slow queries, or raise database_instance_class."
      namespace   = "AWS/RDS"
      metric      = "CPUUtilization"
      dimensions  = { DBInstanceIdentifier = aws_db_instance.this.identifier }
      threshold   = 80
      period      = 300
      periods     = 3
    }
    database-storage = {
      description = "The database's disk fills up. Raise database_allocated_storage."
      namespace   = "AWS/RDS"
      metric      = "FreeStorageSpace"
      dimensions  = { DBInstanceIdentifier = aws_db_instance.this.identifier }
      statistic   = "Minimum"
      comparison  = "LessThanThreshold"
      threshold   = 4294967296
      period      = 300
      periods     = 3
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = lookup(each.value, "statistic", "Average")
  comparison_operator = lookup(each.value, "comparison", "GreaterThanOrEqualToThreshold")
  threshold           = each.value.threshold
  period              = lookup(each.value, "period", 60)
  evaluation_periods  = lookup(each.value, "periods", 5)
  treat_missing_data  = lookup(each.value, "missing", "missing")
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = local.layer.monitoring
}

# The tier minimal as roles/ makes it, resource for resource; the differences that are left are in ../../README.md.
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
      "vahana:tier" = "minimal"
    }
  }
}

data "aws_caller_identity" "this" {}

data "aws_availability_zones" "this" {
  state = "available"
}

data "aws_ssm_parameter" "debian" {
  name = "/aws/service/debian/release/13/latest/amd64"
}

locals {
  name      = "${var.app}-${var.env}"
  prefix    = "/${var.app}/${var.env}"
  account   = data.aws_caller_identity.this.account_id
  zone      = data.aws_availability_zones.this.names[0]
  layer     = { for layer in ["environment", "identity", "network", "storage", "compute", "release", "monitoring"] : layer => { "vahana:layer" = layer } }
  releases  = "${local.name}-releases-${local.account}"
  artifacts = fileset(var.release_folder, "*")
  release   = basename(var.release_folder)
}

# Small state

resource "aws_ssm_parameter" "tier" {
  name        = "${local.prefix}/tier"
  description = "Tier of this environment"
  type        = "String"
  value       = "minimal"
  tags        = local.layer.environment
}

resource "aws_ssm_parameter" "release" {
  name        = "${local.prefix}/release"
  description = "Release that instances of this environment start with"
  type        = "String"
  value       = local.release
  tags        = local.layer.release
}

# Storage

resource "aws_s3_bucket" "releases" {
  bucket        = local.releases
  force_destroy = true
  tags          = local.layer.storage
}

resource "aws_s3_bucket_server_side_encryption_configuration" "releases" {
  bucket = aws_s3_bucket.releases.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_ownership_controls" "releases" {
  bucket = aws_s3_bucket.releases.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_public_access_block" "releases" {
  bucket                  = aws_s3_bucket.releases.id
  block_public_acls       = true
  ignore_public_acls      = true
  block_public_policy     = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "releases" {
  bucket = aws_s3_bucket.releases.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "releases" {
  bucket = aws_s3_bucket.releases.id
  rule {
    id     = "tidy"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
    noncurrent_version_expiration {
      noncurrent_days = 90
    }
  }
  depends_on = [aws_s3_bucket_versioning.releases]
}

resource "aws_s3_bucket_policy" "releases" {
  bucket = aws_s3_bucket.releases.id
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

resource "aws_s3_object" "release" {
  for_each    = local.artifacts
  bucket      = aws_s3_bucket.releases.id
  key         = "releases/${local.release}/${each.key}"
  source      = "${var.release_folder}/${each.key}"
  source_hash = filemd5("${var.release_folder}/${each.key}")
  depends_on  = [aws_s3_bucket_versioning.releases]
}

# Compute

resource "aws_instance" "backend" {
  ami                    = nonsensitive(data.aws_ssm_parameter.debian.value)
  instance_type          = "t3.micro"
  subnet_id              = aws_subnet.public.id
  key_name               = aws_key_pair.this.key_name
  vpc_security_group_ids = [aws_security_group.this["backend"].id]
  iam_instance_profile   = aws_iam_instance_profile.instance.name
  # destroy could not lift it in the same run.
  disable_api_termination = false
  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }
  root_block_device {
    volume_type           = "gp3"
    volume_size           = 8
    encrypted             = true
    delete_on_termination = true
  }
  tags = merge(local.layer.compute, { Name = "${local.name}-backend", "vahana:role" = "backend" })
}

resource "aws_eip" "backend" {
  domain   = "vpc"
  instance = aws_instance.backend.id
  tags     = merge(local.layer.compute, { Name = "${local.name}-backend" })
}

# Monitoring

resource "aws_sns_topic" "alarms" {
  name         = "${local.name}-alarms"
  display_name = local.name
  tags         = merge(local.layer.monitoring, { Name = "${local.name}-alarms" })
}

locals {
  alarms = {
    instance-status = {
      description = "AWS's status check of the instance fails. It is recovered on other hardware with the same addresses and disk."
      metric      = "StatusCheckFailed_System"
      statistic   = "Maximum"
      threshold   = 1
      periods     = 2
      actions     = ["arn:aws:automate:${var.region}:ec2:recover"]
    }
    instance-unreachable = {
      description = "The instance does not answer its status check. Read its console output, then reboot it."
      metric      = "StatusCheckFailed_Instance"
      statistic   = "Maximum"
      threshold   = 1
      periods     = 3
    }
    instance-cpu = {
      description = "The instance has worked at its limit for 15 minutes. Choose a larger type, or a tier that scales."
      metric      = "CPUUtilization"
      threshold   = 80
      period      = 300
      periods     = 3
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = "AWS/EC2"
  metric_name         = each.value.metric
  dimensions          = { InstanceId = aws_instance.backend.id }
  statistic           = lookup(each.value, "statistic", "Average")
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  period              = lookup(each.value, "period", 60)
  evaluation_periods  = each.value.periods
  treat_missing_data  = "missing"
  alarm_actions       = concat(lookup(each.value, "actions", []), [aws_sns_topic.alarms.arn])
  ok_actions          = [aws_sns_topic.alarms.arn]
  tags                = local.layer.monitoring
}

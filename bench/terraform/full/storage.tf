# All buckets, the trail's too (audit.tf). Who reads those behind the distribution is said in edge.tf.
locals {
  lifecycle = {
    releases = { noncurrent = 90 }
    frontend = {}
    images   = { noncurrent = 90, infrequent = 30 }
    logs     = { noncurrent = 90, expiration = 90 }
    audit    = { noncurrent = 1, expiration = 365 }
  }
  tls_only = { for kind, name in local.buckets : kind => {
    Effect    = "Deny"
    Principal = "*"
    Action    = "s3:*"
    Resource  = ["arn:aws:s3:::${name}", "arn:aws:s3:::${name}/*"]
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  } }
  statements = {
    releases = [merge(local.tls_only.releases, { Sid = "DenyPlainHttp" })]
    logs = [
      merge(local.tls_only.logs, { Sid = "DenyPlainHttp" }),
      {
        Sid       = "LoadBalancer"
        Effect    = "Allow"
        Principal = { Service = "logdelivery.elasticloadbalancing.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "arn:aws:s3:::${local.buckets.logs}/load-balancer/AWSLogs/${local.account}/*"
        Condition = {
          ArnLike = { "aws:SourceArn" = "arn:aws:elasticloadbalancing:${var.region}:${local.account}:loadbalancer/*" }
        }
      },
      {
        Sid       = "FlowLogs"
        Effect    = "Allow"
        Principal = { Service = "delivery.logs.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "arn:aws:s3:::${local.buckets.logs}/flow-logs/AWSLogs/${local.account}/*"
        Condition = {
          StringEquals = { "s3:x-amz-acl" = "bucket-owner-full-control", "aws:SourceAccount" = local.account }
          ArnLike      = { "aws:SourceArn" = "arn:aws:logs:${var.region}:${local.account}:*" }
        }
      },
      {
        Sid       = "FlowLogsCheck"
        Effect    = "Allow"
        Principal = { Service = "delivery.logs.amazonaws.com" }
        Action    = ["s3:GetBucketAcl", "s3:ListBucket"]
        Resource  = "arn:aws:s3:::${local.buckets.logs}"
        Condition = {
          StringEquals = { "aws:SourceAccount" = local.account }
          ArnLike      = { "aws:SourceArn" = "arn:aws:logs:${var.region}:${local.account}:*" }
        }
      },
    ]
  }
}

resource "aws_s3_bucket" "this" {
  for_each      = local.buckets
  bucket        = each.value
  force_destroy = true
  tags          = each.key == "audit" ? merge(local.layer.audit, { Name = local.name }) : local.layer.storage
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

resource "aws_s3_bucket_versioning" "this" {
  for_each = { for kind, bucket in aws_s3_bucket.this : kind => bucket if contains(keys(local.lifecycle[kind]), "noncurrent") }
  bucket   = each.value.id
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
      for_each = try([local.lifecycle[each.key].noncurrent], [])
      content {
        noncurrent_days = noncurrent_version_expiration.value
      }
    }
    dynamic "transition" {
      for_each = try([local.lifecycle[each.key].infrequent], [])
      content {
        days          = transition.value
        storage_class = "STANDARD_IA"
      }
    }
    dynamic "expiration" {
      for_each = try([local.lifecycle[each.key].expiration], [])
      content {
        days = expiration.value
      }
    }
  }
  depends_on = [aws_s3_bucket_versioning.this]
}

resource "aws_s3_bucket_policy" "this" {
  for_each = local.statements
  bucket   = aws_s3_bucket.this[each.key].id
  policy   = jsonencode({ Version = "2012-10-17", Statement = each.value })
}

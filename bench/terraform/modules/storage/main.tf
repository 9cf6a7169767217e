# Buckets, the trail's too (../audit). Who reads those behind the distribution is said in ../edge.
variable "common" {
  description = "What all modules of an environment are told: app, env, region, account, name, prefix"
  type        = map(string)
}

variable "kinds" {
  description = "Which of the buckets there are"
  type        = set(string)
}

locals {
  names = { for kind in var.kinds : kind => "${var.common.name}-${kind}-${var.common.account}" }
  lifecycle = {
    releases = { noncurrent = 90 }
    frontend = {}
    images   = { noncurrent = 90, infrequent = 30 }
    logs     = { noncurrent = 90, expiration = 90 }
    audit    = { noncurrent = 1, expiration = 365 }
  }
  tls_only = { for kind, name in local.names : kind => {
    Effect    = "Deny"
    Principal = "*"
    Action    = "s3:*"
    Resource  = ["arn:aws:s3:::${name}", "arn:aws:s3:::${name}/*"]
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  } }
  layer       = { "vahana:layer" = "storage" }
  audit_layer = { "vahana:layer" = "audit", Name = var.common.name }
}

resource "aws_s3_bucket" "this" {
  for_each      = local.names
  bucket        = each.value
  force_destroy = true
  tags          = each.key == "audit" ? local.audit_layer : local.layer
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

resource "aws_s3_bucket_policy" "releases" {
  bucket = aws_s3_bucket.this["releases"].id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [merge(local.tls_only.releases, { Sid = "DenyPlainHttp" })]
  })
}

output "names" {
  description = "Names of the buckets by kind"
  value       = local.names
  # What is written before would have no versions.
  depends_on = [aws_s3_bucket.this, aws_s3_bucket_versioning.this]
}

output "domain_names" {
  description = "Where they answer: CloudFront is redirected by the global name until the bucket's DNS record has spread"
  value       = { for kind, bucket in aws_s3_bucket.this : kind => bucket.bucket_regional_domain_name }
}

output "tls_only" {
  description = "A statement for each bucket's policy that refuses plain HTTP, without its Sid"
  value       = local.tls_only
}

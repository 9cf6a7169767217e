# What is done in the account is recorded, and what it costs is watched. The bucket is one of ../storage.
variable "common" {
  description = "What all modules of an environment are told: app, env, region, account, name, prefix"
  type        = map(string)
}

variable "bucket" {
  description = "Name of the trail's bucket"
  type        = string
}

variable "tls_only" {
  description = "Statement that refuses plain HTTP at this bucket, without its Sid"
  type        = any
}

variable "budget" {
  description = "USD a month for the whole account, as AWS writes it: 300.00"
  type        = string
}

locals {
  bucket_arn = "arn:aws:s3:::${var.bucket}"
  trail_arn  = "arn:aws:cloudtrail:${var.common.region}:${var.common.account}:trail/${var.common.name}"
  tags       = { "vahana:layer" = "audit", Name = var.common.name }
}

# "Amazon S3 bucket policy for CloudTrail", AWS CloudTrail User Guide; the last two statements are ours.
resource "aws_s3_bucket_policy" "this" {
  bucket = var.bucket
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TrailLooks"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = "s3:GetBucketAcl"
        Resource  = local.bucket_arn
        Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn } }
      },
      {
        Sid       = "TrailWrites"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "${local.bucket_arn}/AWSLogs/${var.common.account}/*"
        Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn, "s3:x-amz-acl" = "bucket-owner-full-control" } }
      },
      {
        Sid       = "NobodyDeletes"
        Effect    = "Deny"
        Principal = "*"
        Action    = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:DeleteBucket"]
        Resource  = var.tls_only.Resource
      },
      merge(var.tls_only, { Sid = "OnlyTls" }),
    ]
  })
}

resource "aws_cloudtrail" "this" {
  name                          = var.common.name
  s3_bucket_name                = var.bucket
  is_multi_region_trail         = true
  enable_log_file_validation    = true
  include_global_service_events = true
  tags                          = local.tags
  depends_on                    = [aws_s3_bucket_policy.this]
}

resource "aws_budgets_budget" "this" {
  name         = var.common.name
  budget_type  = "COST"
  limit_amount = var.budget
  limit_unit   = "USD"
  time_unit    = "MONTHLY"
  tags         = local.tags
}

# "Amazon S3 bucket policy for CloudTrail", AWS CloudTrail User Guide; the last two statements are ours.
resource "aws_s3_bucket_policy" "audit" {
  bucket = aws_s3_bucket.this["audit"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TrailLooks"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = "s3:GetBucketAcl"
        Resource  = "arn:aws:s3:::${local.buckets.audit}"
        Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn } }
      },
      {
        Sid       = "TrailWrites"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = "s3:PutObject"
        Resource  = "arn:aws:s3:::${local.buckets.audit}/AWSLogs/${local.account}/*"
        Condition = { StringEquals = { "aws:SourceArn" = local.trail_arn, "s3:x-amz-acl" = "bucket-owner-full-control" } }
      },
      {
        Sid       = "NobodyDeletes"
        Effect    = "Deny"
        Principal = "*"
        Action    = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:DeleteBucket"]
        Resource  = local.tls_only.audit.Resource
      },
      merge(local.tls_only.audit, { Sid = "OnlyTls" }),
    ]
  })
}

locals {
  trail_arn = "arn:aws:cloudtrail:${var.region}:${local.account}:trail/${local.name}"
}

resource "aws_cloudtrail" "this" {
  name                          = local.name
  s3_bucket_name                = aws_s3_bucket.this["audit"].id
  is_multi_region_trail         = true
  enable_log_file_validation    = true
  include_global_service_events = true
  tags                          = merge(local.layer.audit, { Name = local.name })
  depends_on                    = [aws_s3_bucket_policy.audit]
}

resource "aws_budgets_budget" "this" {
  name         = local.name
  budget_type  = "COST"
  limit_amount = "300.00"
  limit_unit   = "USD"
  time_unit    = "MONTHLY"
  tags         = merge(local.layer.audit, { Name = local.name })
}

module "storage" {
  source = "../modules/storage"
  common = local.common
  kinds  = ["releases", "frontend", "images", "logs", "audit"]
}

# Who writes logs.
resource "aws_s3_bucket_policy" "logs" {
  bucket = local.buckets.logs
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      merge(module.storage.tls_only.logs, { Sid = "DenyPlainHttp" }),
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
        Sid       = "AWSLogDeliveryWrite"
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
        Sid       = "AWSLogDeliveryAclCheck"
        Effect    = "Allow"
        Principal = { Service = "delivery.logs.amazonaws.com" }
        Action    = "s3:GetBucketAcl"
        Resource  = "arn:aws:s3:::${local.buckets.logs}"
        Condition = {
          StringEquals = { "aws:SourceAccount" = local.account }
          ArnLike      = { "aws:SourceArn" = "arn:aws:logs:${var.region}:${local.account}:*" }
        }
      },
    ]
  })
}

# CloudFront before the pages, the images and the API, and who may read their buckets.
variable "common" {
  description = "What all modules of an environment are told: app, env, region, account, name, prefix"
  type        = map(string)
}

variable "page_function_file" {
  description = "The CloudFront function that answers every route with the page: roles/edge/files/spa.js"
  type        = string
}

variable "buckets" {
  description = "The buckets behind it, frontend and images: name, domain_name and the statement tls_only without its Sid"
  type        = any
}

variable "backend" {
  description = "What answers below /api: domain_name, protocol_policy, origin_request_policy_id"
  type        = map(string)
}

variable "web_acl_arn" {
  description = "ARN of a web ACL; null for none"
  type        = string
  default     = null
}

locals {
  # CloudFront's managed policies, the same ids in every account.
  caching_optimized = "658327ea-f89d-4fab-a63d-7e88639e58f6"
  caching_disabled  = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
  security_headers  = "67f7725c-6f97-4210-82d7-5512b31e9d03"
}

resource "aws_cloudfront_function" "spa" {
  name    = "${var.common.name}-spa"
  comment = "Single page application routes"
  runtime = "cloudfront-js-2.0"
  publish = true
  code    = file(var.page_function_file)
}

resource "aws_cloudfront_origin_access_control" "frontend" {
  name                              = "${var.common.name}-frontend"
  description                       = "vahana:app=${var.common.app} vahana:env=${var.common.env}"
  origin_access_control_origin_type = "s3"
  signing_behavior                  = "always"
  signing_protocol                  = "sigv4"
}

resource "aws_cloudfront_distribution" "this" {
  comment             = var.common.name
  enabled             = true
  is_ipv6_enabled     = true
  http_version        = "http2and3"
  price_class         = "PriceClass_100"
  default_root_object = "index.html"
  web_acl_id          = var.web_acl_arn
  dynamic "origin" {
    for_each = ["frontend", "images"]
    content {
      origin_id                = origin.value
      domain_name              = var.buckets[origin.value].domain_name
      origin_access_control_id = aws_cloudfront_origin_access_control.frontend.id
    }
  }
  origin {
    origin_id   = "backend"
    domain_name = var.backend.domain_name
    custom_origin_config {
      http_port                = 80
      https_port               = 443
      origin_protocol_policy   = var.backend.protocol_policy
      origin_ssl_protocols     = ["TLSv1.2"]
      origin_keepalive_timeout = 55
    }
  }
  default_cache_behavior {
    target_origin_id           = "frontend"
    cache_policy_id            = local.caching_optimized
    response_headers_policy_id = local.security_headers
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
    cache_policy_id            = local.caching_disabled
    origin_request_policy_id   = var.backend.origin_request_policy_id
    response_headers_policy_id = local.security_headers
    viewer_protocol_policy     = "redirect-to-https"
    allowed_methods            = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    cached_methods             = ["GET", "HEAD"]
    compress                   = true
  }
  ordered_cache_behavior {
    path_pattern               = "/images/*"
    target_origin_id           = "images"
    cache_policy_id            = local.caching_optimized
    response_headers_policy_id = local.security_headers
    viewer_protocol_policy     = "redirect-to-https"
    allowed_methods            = ["GET", "HEAD"]
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
  tags = { "vahana:layer" = "edge", Name = var.common.name }
}

# Only this distribution reads the buckets.
resource "aws_s3_bucket_policy" "this" {
  for_each = var.buckets
  bucket   = each.value.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "ReadByDistribution"
        Effect    = "Allow"
        Principal = { Service = "cloudfront.amazonaws.com" }
        Action    = "s3:GetObject"
        Resource  = "arn:aws:s3:::${each.value.name}/*"
        Condition = { StringEquals = { "AWS:SourceArn" = aws_cloudfront_distribution.this.arn } }
      },
      merge(each.value.tls_only, { Sid = "OnlyTls" }),
    ]
  })
}

# The tier microservices as roles/ makes it, resource for resource; the differences that are left are in ../../README.md.
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
    tags = { "vahana:app" = var.app, "vahana:env" = var.env, "vahana:tier" = "microservices" }
  }
}

data "aws_caller_identity" "this" {}

data "aws_availability_zones" "this" {
  state = "available"
}

locals {
  name    = "${var.app}-${var.env}"
  prefix  = "/${var.app}/${var.env}"
  account = data.aws_caller_identity.this.account_id
  zones   = slice(data.aws_availability_zones.this.names, 0, 2)
  common = {
    app = var.app, env = var.env, region = var.region, account = local.account, name = local.name, prefix = local.prefix
  }
  layer = { for layer in [
    "environment", "identity", "network", "queue", "database", "cache", "load_balancer", "firewall", "containers",
  ] : layer => { "vahana:layer" = layer } }
  buckets = module.storage.names
  # Where services listen.
  port = 3000
  # What each needs: queues that it sends to and takes from, services that it asks, secrets of its own, the cache.
  services = { for name, needs in {
    auth = { sends = ["notification"], secrets = ["token_keys"] }
    cars = { sends = ["notification"], asks = ["auth"], cache = true }
    insurance = {
      sends   = ["payment", "notification"]
      takes   = ["insurance"]
      asks    = ["auth", "cars", "payment"]
      secrets = ["service_secret"]
    }
    payment = {
      sends   = ["insurance", "notification"]
      takes   = ["payment"]
      asks    = ["auth"]
      secrets = ["service_secret", "webhook_secret"]
    }
    notification = { takes = ["notification"], asks = ["auth"] }
  } : name => merge({ sends = [], takes = [], asks = [], secrets = [], cache = false }, needs) }
}

resource "aws_ssm_parameter" "tier" {
  name        = "${local.prefix}/tier"
  description = "Tier of this environment"
  type        = "String"
  value       = "microservices"
  tags        = local.layer.environment
}

module "release" {
  source = "../modules/release"
  common = local.common
  folder = var.release_folder
  bucket = local.buckets.releases
}

module "edge" {
  source             = "../modules/edge"
  common             = local.common
  page_function_file = var.page_function_file
  web_acl_arn        = aws_wafv2_web_acl.this["cloudfront"].arn
  buckets = { for kind in ["frontend", "images"] : kind => {
    name        = local.buckets[kind]
    domain_name = module.storage.domain_names[kind]
    tls_only    = module.storage.tls_only[kind]
  } }
  backend = {
    domain_name     = aws_lb.this.dns_name
    protocol_policy = "http-only"
    # CloudFront's managed policy AllViewer.
    origin_request_policy_id = "216adef6-5c7f-47e4-b989-5492eafa07d3"
  }
}

module "audit" {
  source   = "../modules/audit"
  common   = local.common
  bucket   = local.buckets.audit
  tls_only = module.storage.tls_only.audit
  budget   = "350.00"
}

# The tier full as roles/ makes it, resource for resource; the differences that are left are in ../../README.md.
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
    tags = local.owner
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
  owner = { "vahana:app" = var.app, "vahana:env" = var.env, "vahana:tier" = "full" }
  layer = { for layer in [
    "environment", "identity", "network", "database", "cache", "load_balancer", "firewall", "image", "compute", "monitoring",
  ] : layer => { "vahana:layer" = layer } }
  buckets = module.storage.names
  queues  = toset(["email", "notifications", "analytics"])
}

resource "aws_ssm_parameter" "tier" {
  name        = "${local.prefix}/tier"
  description = "Tier of this environment"
  type        = "String"
  value       = "full"
  tags        = local.layer.environment
}

module "release" {
  source = "../modules/release"
  common = local.common
  folder = var.release_folder
  bucket = local.buckets.releases
}

module "workers" {
  source        = "../modules/workers"
  common        = local.common
  queues        = local.queues
  archive       = var.worker_archive
  output_bucket = local.buckets.releases
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
  budget   = "300.00"
}

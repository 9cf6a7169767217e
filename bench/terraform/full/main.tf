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
  owner   = { "vahana:app" = var.app, "vahana:env" = var.env, "vahana:tier" = "full" }
  layer = { for layer in [
    "environment", "identity", "network", "storage", "database", "cache", "load_balancer", "firewall", "image", "compute", "edge",
    "queue", "functions", "release", "monitoring", "audit",
  ] : layer => { "vahana:layer" = layer } }
  buckets = { for kind in ["releases", "frontend", "images", "logs", "audit"] : kind => "${local.name}-${kind}-${local.account}" }
  queues  = toset(["email", "notifications", "analytics"])
}

resource "aws_ssm_parameter" "tier" {
  name        = "${local.prefix}/tier"
  description = "Tier of this environment"
  type        = "String"
  value       = "full"
  tags        = local.layer.environment
}

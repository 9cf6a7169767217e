# The tier serverless as roles/ makes it, resource for resource; the differences that are left are in ../../README.md.
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
    tags = { "vahana:app" = var.app, "vahana:env" = var.env, "vahana:tier" = "serverless" }
  }
}

data "aws_caller_identity" "this" {}

locals {
  common = {
    app     = var.app
    env     = var.env
    region  = var.region
    account = data.aws_caller_identity.this.account_id
    name    = "${var.app}-${var.env}"
    prefix  = "/${var.app}/${var.env}"
  }
}

resource "aws_ssm_parameter" "tier" {
  name        = "${local.common.prefix}/tier"
  description = "Tier of this environment"
  type        = "String"
  value       = "serverless"
  tags        = { "vahana:layer" = "environment" }
}

module "storage" {
  source = "../modules/storage"
  common = local.common
  kinds  = ["releases", "frontend", "images", "audit"]
}

module "release" {
  source = "../modules/release"
  common = local.common
  folder = var.release_folder
  bucket = module.storage.names.releases
}

module "workers" {
  source        = "../modules/workers"
  common        = local.common
  queues        = ["email", "notifications", "analytics"]
  archive       = var.worker_archive
  output_bucket = module.storage.names.releases
}

module "edge" {
  source             = "../modules/edge"
  common             = local.common
  page_function_file = var.page_function_file
  buckets = { for kind in ["frontend", "images"] : kind => {
    name        = module.storage.names[kind]
    domain_name = module.storage.domain_names[kind]
    tls_only    = module.storage.tls_only[kind]
  } }
  backend = {
    domain_name     = trimprefix(aws_apigatewayv2_api.this.api_endpoint, "https://")
    protocol_policy = "https-only"
    # CloudFront's managed policy AllViewerExceptHostHeader: API Gateway knows its own name only.
    origin_request_policy_id = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
  }
}

module "audit" {
  source   = "../modules/audit"
  common   = local.common
  bucket   = module.storage.names.audit
  tls_only = module.storage.tls_only.audit
  budget   = "75.00"
}

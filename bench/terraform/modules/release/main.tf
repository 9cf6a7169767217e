# A built release in the bucket of releases, and that it is the one in service.
variable "common" {
  description = "What all modules of an environment are told: app, env, region, account, name, prefix"
  type        = map(string)
}

variable "folder" {
  description = "Folder of a built release, named after it: dist/<release>"
  type        = string
}

variable "bucket" {
  description = "Name of the bucket of releases"
  type        = string
}

locals {
  release = basename(var.folder)
}

resource "aws_s3_object" "this" {
  for_each    = fileset(var.folder, "*")
  bucket      = var.bucket
  key         = "releases/${local.release}/${each.key}"
  source      = "${var.folder}/${each.key}"
  source_hash = filemd5("${var.folder}/${each.key}")
}

resource "aws_ssm_parameter" "this" {
  name        = "${var.common.prefix}/release"
  description = "Release that instances of this environment start with"
  type        = "String"
  value       = local.release
  tags        = { "vahana:layer" = "release" }
}

output "keys" {
  description = "Where its files are in the bucket, by their names"
  value       = { for name, object in aws_s3_object.this : name => object.key }
}

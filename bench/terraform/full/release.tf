locals {
  release = basename(var.release_folder)
}

resource "aws_s3_object" "release" {
  for_each    = fileset(var.release_folder, "*")
  bucket      = aws_s3_bucket.this["releases"].id
  key         = "releases/${local.release}/${each.key}"
  source      = "${var.release_folder}/${each.key}"
  source_hash = filemd5("${var.release_folder}/${each.key}")
  depends_on  = [aws_s3_bucket_versioning.this]
}

resource "aws_ssm_parameter" "release" {
  name        = "${local.prefix}/release"
  description = "Release that instances of this environment start with"
  type        = "String"
  value       = local.release
  tags        = local.layer.release
}

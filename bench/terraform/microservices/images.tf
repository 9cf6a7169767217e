# Repositories, and in them what the services run: no provider builds images, so podman does, as in the playbooks.
resource "aws_ecr_repository" "this" {
  for_each             = local.services
  name                 = "${local.name}/${each.key}"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true
  image_scanning_configuration {
    scan_on_push = true
  }
  tags = merge(local.layer.containers, { Name = "${local.name}/${each.key}" })
}

resource "aws_ecr_lifecycle_policy" "this" {
  for_each   = aws_ecr_repository.this
  repository = each.value.name
  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "without a tag"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 7 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "the oldest"
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 20 }
        action       = { type = "expire" }
      },
    ]
  })
}

# The token gets into the state: the provider has no ephemeral one.
data "aws_ecr_authorization_token" "this" {}

resource "terraform_data" "image" {
  for_each         = aws_ecr_repository.this
  triggers_replace = [each.value.repository_url, var.service_versions[each.key]]
  provisioner "local-exec" {
    command = <<-EOT
      set -e
      podman build --quiet --platform linux/amd64 --build-arg "SERVICE=$SERVICE" --file "$FOLDER/Containerfile" --tag "$IMAGE" "$FOLDER"
      podman push --quiet "--tls-verify=$TLS" --creds "AWS:$PASSWORD" "$IMAGE"
    EOT
    environment = {
      SERVICE  = each.key
      FOLDER   = var.services_folder
      IMAGE    = "${each.value.repository_url}:${var.service_versions[each.key]}"
      TLS      = startswith(data.aws_ecr_authorization_token.this.proxy_endpoint, "https:")
      PASSWORD = data.aws_ecr_authorization_token.this.password
    }
  }
}

# Tags cannot be moved, so they are the record of which digest a version is.
data "aws_ecr_image" "this" {
  for_each        = var.service_versions
  repository_name = aws_ecr_repository.this[each.key].name
  image_tag       = each.value
  depends_on      = [terraform_data.image]
}

# The image is baked before, as with Packer, and found by its name.
data "aws_ami" "backend" {
  owners = ["self"]
  filter {
    name   = "name"
    values = ["${local.name}-backend-*"]
  }
  most_recent = true
}

resource "aws_ssm_parameter" "image" {
  name  = "${local.prefix}/image"
  type  = "String"
  value = data.aws_ami.backend.tags["vahana:image"]
  tags  = local.layer.image
}

resource "aws_key_pair" "this" {
  key_name   = local.name
  public_key = var.public_key
  tags       = local.layer.identity
}

# Passwords are made by Secrets Manager. That of the cache is the one that gets into the state (cache.tf).
ephemeral "aws_secretsmanager_random_password" "this" {
  for_each            = local.secrets
  password_length     = 32
  exclude_punctuation = true
}

locals {
  secrets = {
    database = "Master user of the database of ${local.name}"
    cache    = "Password of the cache of ${local.name}"
    backend  = "Environment variables of the backend of ${local.name}; add your own keys to the JSON map"
  }
}

resource "aws_kms_key" "this" {
  description             = "Secrets and alarms of ${local.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "LetThePoliciesOfTheAccountDecide"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "ReadSecrets"
        Effect    = "Allow"
        Principal = { AWS = "*" }
        Action = [
          "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant", "kms:DescribeKey",
        ]
        Resource = "*"
        Condition = {
          StringEquals = {
            "kms:CallerAccount" = local.account
            "kms:ViaService"    = "secretsmanager.${var.region}.amazonaws.com"
          }
        }
      },
      {
        Sid       = "TellAlarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
    ]
  })
  tags = merge(local.layer.identity, { Name = local.name })
}

resource "aws_kms_alias" "this" {
  name          = "alias/${local.name}"
  target_key_id = aws_kms_key.this.key_id
}

resource "aws_secretsmanager_secret" "this" {
  for_each                = local.secrets
  name                    = "${local.prefix}/${each.key}"
  description             = each.value
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = 0
  tags                    = local.layer.identity
}

resource "aws_secretsmanager_secret_version" "this" {
  for_each                 = aws_secretsmanager_secret.this
  secret_id                = each.value.id
  secret_string_wo_version = 1
  secret_string_wo = jsonencode(merge(
    each.key == "database" ? { username = var.app } : {},
    { (each.key == "backend" ? "APP_SECRET" : "password") = ephemeral.aws_secretsmanager_random_password.this[each.key].random_password },
  ))
}

resource "aws_iam_role" "instance" {
  name        = "${local.name}-instance"
  description = "What the instances of ${local.name} may do"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
  tags = local.layer.identity
}

resource "aws_iam_role_policy" "instance" {
  name = "instance"
  role = aws_iam_role.instance.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadReleases"
        Effect   = "Allow"
        Action   = "s3:GetObject"
        Resource = "arn:aws:s3:::${local.buckets.releases}/releases/*"
      },
      {
        Sid      = "TellMissingFromForbidden"
        Effect   = "Allow"
        Action   = "s3:ListBucket"
        Resource = "arn:aws:s3:::${local.buckets.releases}"
      },
      {
        Sid      = "ReadParameters"
        Effect   = "Allow"
        Action   = ["ssm:GetParameter", "ssm:GetParameters"]
        Resource = "arn:aws:ssm:${var.region}:${local.account}:parameter${local.prefix}/*"
      },
      {
        Sid    = "ReadSecrets"
        Effect = "Allow"
        Action = "secretsmanager:GetSecretValue"
        Resource = [
          for name in concat(keys(local.secrets), ["database-login"]) :
          "arn:aws:secretsmanager:${var.region}:${local.account}:secret:${local.prefix}/${name}-??????"
        ]
      },
      {
        Sid    = "WriteLogs"
        Effect = "Allow"
        Action = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = [
          for name in local.log_groups : "arn:aws:logs:${var.region}:${local.account}:log-group:${local.prefix}/${name}:*"
        ]
      },
      {
        Sid      = "KeepImages"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        Resource = "arn:aws:s3:::${local.buckets.images}/images/*"
      },
      {
        Sid      = "FinishLaunch"
        Effect   = "Allow"
        Action   = ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"]
        Resource = "arn:aws:autoscaling:${var.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${local.name}-backend"
      },
      {
        Sid      = "SendMessages"
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = module.workers.arns
      },
    ]
  })
}

resource "aws_iam_instance_profile" "instance" {
  name = "${local.name}-instance"
  role = aws_iam_role.instance.name
  tags = local.layer.identity
}

# There are no instances: no key, no role of theirs, and no secret of a backend.
locals {
  secrets = {
    database = {
      description = "Master user of the database of ${local.name}"
      known       = { username = replace(var.app, "-", "_") }
      # What RDS refuses in a password, and what has a meaning in a URL or a shell.
      excluded = " !\"#$%&'()*+,/:;<=>?@[\\]^`{|}~"
    }
    cache = {
      description = "Password of the cache of ${local.name}"
      known       = {}
      # Of what is neither letter nor digit ElastiCache takes little.
      excluded = " !\"#$%&'()*+,./:;<=>?@[\\]^_`{|}~"
    }
  }
}

# Passwords are made by Secrets Manager. That of the cache is the one that gets into the state (cache.tf).
ephemeral "aws_secretsmanager_random_password" "this" {
  for_each           = local.secrets
  password_length    = 32
  exclude_characters = each.value.excluded
}

resource "aws_secretsmanager_secret" "this" {
  for_each                = local.secrets
  name                    = "${local.prefix}/${each.key}"
  description             = each.value.description
  recovery_window_in_days = 0
  tags                    = local.layer.identity
}

resource "aws_secretsmanager_secret_version" "this" {
  for_each                 = aws_secretsmanager_secret.this
  secret_id                = each.value.id
  secret_string_wo_version = 1
  secret_string_wo = jsonencode(merge(
    local.secrets[each.key].known,
    { password = ephemeral.aws_secretsmanager_random_password.this[each.key].random_password },
  ))
}

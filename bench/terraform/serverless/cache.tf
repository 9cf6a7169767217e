# What was found keeps for the next who asks. The password is read by the function, and gets into the state all the same.
locals {
  cache_layer    = { "vahana:layer" = "cache" }
  identity_layer = { "vahana:layer" = "identity" }
}

# Of what is neither letter nor digit ElastiCache takes little.
ephemeral "aws_secretsmanager_random_password" "cache" {
  password_length    = 32
  exclude_characters = " !\"#$%&'()*+,./:;<=>?@[\\]^_`{|}~"
}

resource "aws_secretsmanager_secret" "cache" {
  name                    = "${local.common.prefix}/cache"
  description             = "Password of the cache of ${local.common.name}"
  recovery_window_in_days = 0
  tags                    = local.identity_layer
}

resource "aws_secretsmanager_secret_version" "cache" {
  secret_id                = aws_secretsmanager_secret.cache.id
  secret_string_wo_version = 1
  secret_string_wo = jsonencode({
    password = ephemeral.aws_secretsmanager_random_password.cache.random_password
  })
}

# The provider has no write-only argument for the password: this one gets into the state.
data "aws_secretsmanager_secret_version" "cache" {
  secret_id  = aws_secretsmanager_secret.cache.id
  depends_on = [aws_secretsmanager_secret_version.cache]
}

resource "aws_elasticache_subnet_group" "this" {
  name        = local.common.name
  description = "Cache of ${local.common.name}"
  subnet_ids  = [for subnet in aws_subnet.database : subnet.id]
  tags        = local.cache_layer
}

resource "aws_elasticache_replication_group" "this" {
  replication_group_id       = local.common.name
  description                = "Cache of ${local.common.name}"
  engine                     = "valkey"
  engine_version             = "8.0"
  node_type                  = "cache.t3.micro"
  num_cache_clusters         = 1
  automatic_failover_enabled = false
  multi_az_enabled           = false
  port                       = 6379
  subnet_group_name          = aws_elasticache_subnet_group.this.name
  security_group_ids         = [aws_security_group.this["cache"].id]
  transit_encryption_enabled = true
  at_rest_encryption_enabled = true
  auth_token                 = jsondecode(data.aws_secretsmanager_secret_version.cache.secret_string).password
  snapshot_retention_limit   = 0
  auto_minor_version_upgrade = true
  apply_immediately          = true
  tags                       = local.cache_layer
}

resource "aws_ssm_parameter" "cache" {
  name        = "${local.common.prefix}/cache"
  description = "Where the cache of ${local.common.name} is; its password is in the secret named here"
  type        = "String"
  value = jsonencode({
    host   = aws_elasticache_replication_group.this.primary_endpoint_address
    port   = aws_elasticache_replication_group.this.port
    secret = aws_secretsmanager_secret.cache.name
  })
  tags = local.cache_layer
}

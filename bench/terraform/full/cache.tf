resource "aws_elasticache_subnet_group" "this" {
  name        = local.name
  description = "Cache of ${local.name}"
  subnet_ids  = [for subnet in aws_subnet.database : subnet.id]
  tags        = local.layer.cache
}

# The provider has no write-only argument for the password: this one gets into the state.
data "aws_secretsmanager_secret_version" "cache" {
  secret_id  = aws_secretsmanager_secret.this["cache"].id
  depends_on = [aws_secretsmanager_secret_version.this]
}

resource "aws_elasticache_replication_group" "this" {
  replication_group_id       = local.name
  description                = "Cache of ${local.name}"
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
  snapshot_retention_limit   = 1
  auto_minor_version_upgrade = true
  apply_immediately          = true
  tags                       = local.layer.cache
}

resource "aws_ssm_parameter" "cache" {
  name        = "${local.prefix}/cache"
  description = "Where the cache of ${local.name} is; its password is in the secret named here"
  type        = "String"
  value = jsonencode({
    host   = aws_elasticache_replication_group.this.primary_endpoint_address
    port   = aws_elasticache_replication_group.this.port
    secret = aws_secretsmanager_secret.this["cache"].name
  })
  tags = local.layer.cache
}

resource "aws_db_subnet_group" "this" {
  name        = local.name
  description = "Subnets of the database of ${local.name}"
  subnet_ids  = [for subnet in aws_subnet.database : subnet.id]
  tags        = local.layer.database
}

resource "aws_db_parameter_group" "this" {
  name        = "${local.name}-postgres17"
  description = "Parameters of the database of ${local.name}"
  family      = "postgres17"
  parameter {
    name         = "rds.force_ssl"
    value        = "1"
    apply_method = "immediate"
  }
  tags = local.layer.database
}

resource "aws_db_instance" "this" {
  identifier                 = local.name
  engine                     = "postgres"
  engine_version             = "17"
  db_name                    = replace(var.app, "/[^a-z0-9]/", "")
  db_subnet_group_name       = aws_db_subnet_group.this.name
  parameter_group_name       = aws_db_parameter_group.this.name
  storage_encrypted          = true
  port                       = 5432
  username                   = local.secrets.database.known.username
  password_wo                = ephemeral.aws_secretsmanager_random_password.this["database"].random_password
  password_wo_version        = 1
  instance_class             = "db.t3.small"
  allocated_storage          = 100
  storage_type               = "gp3"
  multi_az                   = true
  publicly_accessible        = false
  vpc_security_group_ids     = [aws_security_group.this["database"].id]
  backup_retention_period    = 7
  backup_window              = "03:00-04:00"
  maintenance_window         = "sun:04:00-sun:05:00"
  copy_tags_to_snapshot      = true
  auto_minor_version_upgrade = true
  # destroy could not lift it in the same run.
  deletion_protection       = false
  skip_final_snapshot       = false
  final_snapshot_identifier = "${local.name}-final"
  apply_immediately         = true
  tags                      = local.layer.database
}

resource "aws_ssm_parameter" "database" {
  name        = "${local.prefix}/database"
  description = "Where the database of ${local.name} is; its password is in the secret named here"
  type        = "String"
  value = jsonencode({
    engine = "postgres"
    host   = aws_db_instance.this.address
    port   = aws_db_instance.this.port
    name   = aws_db_instance.this.db_name
    secret = aws_secretsmanager_secret.this["database"].name
  })
  tags = local.layer.database
}

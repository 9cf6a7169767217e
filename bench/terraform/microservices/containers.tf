# The services on Fargate, and how they find each other and follow their CPU.
locals {
  service_prefix = "${local.prefix}/services"
  # What they keep from each other.
  service_secrets = {
    service_secret = "By what services know each other"
    token_keys     = "What the keys that sign tokens are made of"
    webhook_secret = "By what the payment provider's messages are known"
  }
  task_trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      # ECS on behalf of this account only.
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_cloudwatch_log_group" "service" {
  for_each          = local.services
  name              = "${local.service_prefix}/${each.key}"
  retention_in_days = 30
  tags              = merge(local.layer.containers, { Name = "${local.service_prefix}/${each.key}" })
}

# Secrets

ephemeral "aws_secretsmanager_random_password" "service" {
  for_each        = local.service_secrets
  password_length = 48
  # A comma or a space would be taken for the end of one and the beginning of another.
  exclude_characters = local.secrets.cache.excluded
}

resource "aws_secretsmanager_secret" "service" {
  for_each                = local.service_secrets
  name                    = "${local.service_prefix}/${each.key}"
  description             = each.value
  recovery_window_in_days = 0
  tags                    = local.layer.containers
}

resource "aws_secretsmanager_secret_version" "service" {
  for_each                 = aws_secretsmanager_secret.service
  secret_id                = each.value.id
  secret_string_wo_version = 1
  secret_string_wo         = jsonencode({ value = ephemeral.aws_secretsmanager_random_password.service[each.key].random_password })
}

# Who may do what

resource "aws_iam_role" "execution" {
  name               = "${local.name}-task-execution"
  description        = "What ECS may do to start the tasks of ${local.name}"
  path               = "${local.prefix}/"
  assume_role_policy = local.task_trust
  tags               = local.layer.containers
}

resource "aws_iam_role_policy" "execution" {
  name = "execution"
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      # It is of the whole registry.
      {
        Sid      = "LogIn"
        Effect   = "Allow"
        Action   = "ecr:GetAuthorizationToken"
        Resource = "*"
      },
      {
        Sid      = "PullImages"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = "arn:aws:ecr:${var.region}:${local.account}:repository/${local.name}/*"
      },
      {
        Sid    = "ReadSecrets"
        Effect = "Allow"
        Action = "secretsmanager:GetSecretValue"
        Resource = concat(
          [for secret in ["database", "cache"] : aws_secretsmanager_secret.this[secret].arn],
          [for secret in aws_secretsmanager_secret.service : secret.arn],
        )
      },
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "arn:aws:logs:${var.region}:${local.account}:log-group:${local.service_prefix}/*"
      },
    ]
  })
}

resource "aws_iam_role" "service" {
  for_each           = local.services
  name               = "${local.name}-service-${each.key}"
  description        = "What the service ${each.key} of ${local.name} may do"
  path               = "${local.prefix}/"
  assume_role_policy = local.task_trust
  tags               = local.layer.containers
}

resource "aws_iam_role_policy" "service" {
  for_each = local.services
  name     = "service"
  role     = aws_iam_role.service[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      length(each.value.sends) == 0 ? [] : [{
        Sid      = "TellQueues"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = [for queue in each.value.sends : aws_sqs_queue.this[queue].arn]
      }],
      length(each.value.takes) == 0 ? [] : [{
        Sid      = "TakeMessages"
        Effect   = "Allow"
        Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
        Resource = [for queue in each.value.takes : aws_sqs_queue.this[queue].arn]
      }],
    )
  })
}

# By what name they find each other

resource "aws_service_discovery_private_dns_namespace" "this" {
  name = "${local.name}.internal"
  vpc  = aws_vpc.this.id
  tags = merge(local.layer.containers, { Name = "${local.name}.internal" })
}

resource "aws_service_discovery_service" "this" {
  for_each = local.services
  name     = each.key
  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this.id
    routing_policy = "MULTIVALUE"
    dns_records {
      ttl  = 10
      type = "A"
    }
  }
  # ECS itself says who is healthy.
  health_check_custom_config {
    failure_threshold = 1
  }
  tags = merge(local.layer.containers, { Name = "${each.key}.${aws_service_discovery_private_dns_namespace.this.name}" })
}

# Services

locals {
  variables = { for name, needs in local.services : name => merge(
    {
      # No password in it: PostgreSQL's clients read both parts of a login from variables of their own.
      DATABASE_URL    = "postgres://${aws_db_instance.this.endpoint}/${aws_db_instance.this.db_name}?sslmode=no-verify"
      PORT            = tostring(local.port)
      AWS_REGION      = var.region
      TRUSTED_PROXIES = "2"
      APP_VERSION     = var.service_versions[name]
    },
    { for queue in concat(needs.sends, needs.takes) : "QUEUE_URL_${upper(queue)}" =>
    "https://sqs.${var.region}.amazonaws.com/${local.account}/${aws_sqs_queue.this[queue].name}" },
    { for other in needs.asks : "${upper(other)}_URL" =>
    "http://${other}.${aws_service_discovery_private_dns_namespace.this.name}:${local.port}" },
    needs.cache ? { REDIS_URL = "rediss://${local.cache_address}?sslmode=no-verify" } : {},
  ) }
  cache_address = "${aws_elasticache_replication_group.this.primary_endpoint_address}:${aws_elasticache_replication_group.this.port}"
  told_secrets = { for name, needs in local.services : name => merge(
    {
      PGUSER     = "${aws_secretsmanager_secret.this["database"].arn}:username::"
      PGPASSWORD = "${aws_secretsmanager_secret.this["database"].arn}:password::"
    },
    needs.cache ? { REDIS_PASSWORD = "${aws_secretsmanager_secret.this["cache"].arn}:password::" } : {},
    { for secret in needs.secrets : upper(secret) => "${aws_secretsmanager_secret.service[secret].arn}:value::" },
  ) }
  # 503 is what a service answers that runs and cannot reach its database: others in its place would not reach it either.
  health = { for name in keys(local.services) : name => join("", [
    "fetch('http://127.0.0.1:${local.port}/api/${name}/health')",
    ".then((answer) => process.exit([200, 503].includes(answer.status) ? 0 : 1), () => process.exit(1))",
  ]) }
}

resource "aws_ecs_cluster" "this" {
  name = local.name
  setting {
    name  = "containerInsights"
    value = "disabled"
  }
  tags = merge(local.layer.containers, { Name = local.name })
}

resource "aws_ecs_task_definition" "this" {
  for_each                 = local.services
  family                   = "${local.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = "256"
  memory                   = "512"
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.service[each.key].arn
  container_definitions = jsonencode([{
    name      = each.key
    image     = "${aws_ecr_repository.this[each.key].repository_url}@${data.aws_ecr_image.this[each.key].image_digest}"
    essential = true
    # Each migrates its own schema before it answers: a task that cannot does not start.
    command                = ["node", "--eval", "import('./src/migrate.js').then(() => import('./src/main.js'))"]
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    portMappings           = [{ containerPort = local.port, protocol = "tcp" }]
    environment            = [for name, value in local.variables[each.key] : { name = name, value = value }]
    secrets                = [for name, from in local.told_secrets[each.key] : { name = name, valueFrom = from }]
    stopTimeout            = 30
    healthCheck = {
      command     = ["CMD", "node", "--eval", local.health[each.key]]
      interval    = 10
      timeout     = 5
      retries     = 3
      startPeriod = 60
    }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.service[each.key].name
        awslogs-region        = var.region
        awslogs-stream-prefix = "task"
      }
    }
  }])
  tags = merge(local.layer.containers, { Name = "${local.name}-${each.key}" })
}

resource "aws_ecs_service" "this" {
  for_each                           = local.services
  name                               = each.key
  cluster                            = aws_ecs_cluster.this.arn
  task_definition                    = aws_ecs_task_definition.this[each.key].arn
  launch_type                        = "FARGATE"
  desired_count                      = 2
  propagate_tags                     = "SERVICE"
  health_check_grace_period_seconds  = 60
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  wait_for_steady_state              = true
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
  network_configuration {
    subnets          = [for subnet in aws_subnet.private : subnet.id]
    security_groups  = [aws_security_group.this["backend"].id]
    assign_public_ip = false
  }
  load_balancer {
    target_group_arn = aws_lb_target_group.service[each.key].arn
    container_name   = each.key
    container_port   = local.port
  }
  service_registries {
    registry_arn = aws_service_discovery_service.this[each.key].arn
  }
  tags = merge(local.layer.containers, { Name = "${local.name}-${each.key}" })
  # That of a new one; later it is Application Auto Scaling's.
  lifecycle {
    ignore_changes = [desired_count]
  }
  # Tasks read all of it when they start, and have no other way out.
  depends_on = [
    aws_lb_listener_rule.service, aws_route.nat, aws_route_table_association.private, aws_vpc_endpoint.this,
    aws_secretsmanager_secret_version.this, aws_secretsmanager_secret_version.service,
    aws_iam_role_policy.execution, aws_iam_role_policy.service,
  ]
}

resource "aws_appautoscaling_target" "service" {
  for_each           = aws_ecs_service.this
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${each.value.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = 2
  max_capacity       = 4
}

resource "aws_appautoscaling_policy" "cpu" {
  for_each           = aws_appautoscaling_target.service
  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = each.value.service_namespace
  resource_id        = each.value.resource_id
  scalable_dimension = each.value.scalable_dimension
  target_tracking_scaling_policy_configuration {
    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
    target_value       = 60
    scale_in_cooldown  = 300
    scale_out_cooldown = 60
  }
}

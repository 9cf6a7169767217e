# What answers, and what does afterwards what could not be done then.
locals {
  api_layer    = { "vahana:layer" = "api" }
  api_prefix   = "${local.common.prefix}/api"
  function_arn = "arn:aws:lambda:${var.region}:${local.common.account}:function:${local.common.name}"
  functions = {
    api = {
      description = "Answers the requests of visitors"
      timeout     = 10
      memory      = 512
      actions     = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]
    }
    sweep = {
      description = "Sends the messages that requests could not"
      timeout     = 60
      memory      = 256
      actions     = ["dynamodb:DeleteItem"]
    }
  }
}

# What the function that answers may do in its network. Lambda itself needs the first; the function's own code may not.
locals {
  network_actions = [
    "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
  ]
  network_statements = [
    { Sid = "BeInTheNetwork", Effect = "Allow", Action = local.network_actions, Resource = "*" },
    {
      Sid       = "LeaveTheNetworkAlone"
      Effect    = "Deny"
      Action    = local.network_actions
      Resource  = "*"
      Condition = { ArnEquals = { "lambda:SourceFunctionArn" = "${local.function_arn}-api" } }
    },
    { Sid = "FindTheCache", Effect = "Allow", Action = "ssm:GetParameter", Resource = aws_ssm_parameter.cache.arn },
    {
      Sid      = "OpenTheCache"
      Effect   = "Allow"
      Action   = "secretsmanager:GetSecretValue"
      Resource = aws_secretsmanager_secret.cache.arn
    },
  ]
}

# What the functions are told

resource "aws_ssm_parameter" "table" {
  name        = "${local.api_prefix}/table"
  description = "Table that the functions work on"
  type        = "String"
  value       = aws_dynamodb_table.this.name
  tags        = local.api_layer
}

resource "aws_ssm_parameter" "queue" {
  for_each    = module.workers.urls
  name        = "${local.api_prefix}/queues/${each.key}"
  description = "Queue that is told of what happens"
  type        = "String"
  value       = each.value
  tags        = local.api_layer
}

# Functions

resource "aws_cloudwatch_log_group" "api" {
  for_each          = toset(concat(keys(local.functions), ["access"]))
  name              = "${local.api_prefix}/${each.key}"
  retention_in_days = 30
  tags              = merge(local.api_layer, { Name = "${local.api_prefix}/${each.key}" })
}

resource "aws_iam_role" "api" {
  for_each    = local.functions
  name        = "${local.common.name}-api-${each.key}"
  description = "What the function ${local.common.name}-${each.key} may do"
  path        = "${local.common.prefix}/"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
      # Lambda on behalf of this account only.
      Condition = { StringEquals = { "aws:SourceAccount" = local.common.account } }
    }]
  })
  tags = local.api_layer
}

resource "aws_iam_role_policy" "api" {
  for_each = local.functions
  name     = "function"
  role     = aws_iam_role.api[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "ReadWhatItIsTold"
        Effect   = "Allow"
        Action   = "ssm:GetParametersByPath"
        Resource = "arn:aws:ssm:${var.region}:${local.common.account}:parameter${local.api_prefix}"
      },
      {
        Sid      = "UseItems"
        Effect   = "Allow"
        Action   = each.value.actions
        Resource = aws_dynamodb_table.this.arn
      },
      {
        Sid      = "Search"
        Effect   = "Allow"
        Action   = "dynamodb:Query"
        Resource = "${aws_dynamodb_table.this.arn}/index/*"
      },
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "arn:aws:logs:${var.region}:${local.common.account}:log-group:${local.api_prefix}/${each.key}:*"
      },
      {
        Sid      = "TellQueues"
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = sort(module.workers.arns)
      },
    ], [for statement in local.network_statements : statement if each.key == "api"])
  })
}

resource "aws_lambda_function" "api" {
  for_each         = local.functions
  function_name    = "${local.common.name}-${each.key}"
  description      = each.value.description
  role             = aws_iam_role.api[each.key].arn
  s3_bucket        = module.storage.names.releases
  s3_key           = module.release.keys["functions.zip"]
  source_code_hash = filebase64sha256("${var.release_folder}/functions.zip")
  publish          = true
  handler          = "${each.key}.handler"
  # The newest that the provider knows.
  runtime       = "nodejs22.x"
  architectures = ["arm64"]
  timeout       = each.value.timeout
  memory_size   = each.value.memory
  environment {
    variables = merge(
      { PARAMETERS_PATH = local.api_prefix },
      each.key == "api" ? { CACHE_PARAMETER = aws_ssm_parameter.cache.name } : {},
    )
  }
  dynamic "vpc_config" {
    for_each = each.key == "api" ? [1] : []
    content {
      subnet_ids         = [for subnet in aws_subnet.private : subnet.id]
      security_group_ids = [aws_security_group.this["backend"].id]
    }
  }
  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.api[each.key].name
    # Lambda's own defaults: left out, the provider would publish another version each time.
    application_log_level = "INFO"
    system_log_level      = "INFO"
  }
  tags       = merge(local.api_layer, { Name = "${local.common.name}-${each.key}" })
  depends_on = [aws_iam_role_policy.api, aws_ssm_parameter.table, aws_ssm_parameter.queue]
}

resource "aws_lambda_alias" "live" {
  for_each         = local.functions
  name             = "live"
  function_name    = aws_lambda_function.api[each.key].function_name
  function_version = aws_lambda_function.api[each.key].version
}

# Whoever asks them

resource "aws_apigatewayv2_api" "this" {
  name          = local.common.name
  description   = "What visitors of ${local.common.name} ask"
  protocol_type = "HTTP"
  tags          = merge(local.api_layer, { Name = local.common.name })
}

resource "aws_apigatewayv2_integration" "this" {
  api_id                 = aws_apigatewayv2_api.this.id
  integration_type       = "AWS_PROXY"
  integration_method     = "POST"
  integration_uri        = aws_lambda_alias.live["api"].arn
  payload_format_version = "2.0"
  timeout_milliseconds   = 1000 * local.functions.api.timeout
}

resource "aws_apigatewayv2_route" "this" {
  api_id    = aws_apigatewayv2_api.this.id
  route_key = "ANY /api/{proxy+}"
  target    = "integrations/${aws_apigatewayv2_integration.this.id}"
}

resource "aws_apigatewayv2_stage" "this" {
  api_id      = aws_apigatewayv2_api.this.id
  name        = "$default"
  auto_deploy = true
  default_route_settings {
    detailed_metrics_enabled = true
    throttling_rate_limit    = 1000
    throttling_burst_limit   = 500
  }
  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.api["access"].arn
    # As the module apigatewayv2_http_api writes it: one object in a line.
    format = join(",", [
      "{\"time\":\"$context.requestTime\"", "\"id\":\"$context.requestId\"", "\"ip\":\"$context.identity.sourceIp\"",
      " \"route\":\"$context.routeKey\"", "\"path\":\"$context.path\"", "\"status\":\"$context.status\"",
      " \"bytes\":\"$context.responseLength\"", "\"ms\":\"$context.responseLatency\"",
      "\"error\":\"$context.integrationErrorMessage\"}",
    ])
  }
}

resource "aws_lambda_permission" "api" {
  statement_id  = "http-api"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.api["api"].function_name
  qualifier     = aws_lambda_alias.live["api"].name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.this.execution_arn}/*"
}

resource "aws_cloudwatch_event_rule" "sweep" {
  name                = "${local.common.name}-sweep"
  description         = local.functions.sweep.description
  schedule_expression = "rate(1 minute)"
  tags                = merge(local.api_layer, { Name = "${local.common.name}-sweep" })
}

resource "aws_cloudwatch_event_target" "sweep" {
  rule      = aws_cloudwatch_event_rule.sweep.name
  target_id = "function"
  arn       = aws_lambda_alias.live["sweep"].arn
}

resource "aws_lambda_permission" "sweep" {
  statement_id  = "schedule"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.api["sweep"].function_name
  qualifier     = aws_lambda_alias.live["sweep"].name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.sweep.arn
}

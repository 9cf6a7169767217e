# Queues with their dead letter queues, and the functions that work on them.
variable "common" {
  description = "What all modules of an environment are told: app, env, region, account, name, prefix"
  type        = map(string)
}

variable "queues" {
  description = "Names of the queues, which are those of the functions too"
  type        = set(string)
}

variable "archive" {
  description = "The sources of the functions, packed: examples/worker"
  type        = string
}

variable "output_bucket" {
  description = "Name of the bucket that the functions write to"
  type        = string
}

locals {
  queue_layer     = { "vahana:layer" = "queue" }
  functions_layer = { "vahana:layer" = "functions" }
  log_prefix      = "${var.common.prefix}/functions"
  # A queue and its dead letter queue name each other.
  queue_arns = {
    for queue in var.queues : queue => "arn:aws:sqs:${var.common.region}:${var.common.account}:${var.common.name}-${queue}"
  }
  tls_only = {
    Sid       = "DenyPlainHttp"
    Effect    = "Deny"
    Principal = "*"
    Action    = "sqs:*"
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }
}

# Queues

resource "aws_sqs_queue" "dead_letter" {
  for_each                   = var.queues
  name                       = "${var.common.name}-${each.key}-dlq"
  visibility_timeout_seconds = 180
  receive_wait_time_seconds  = 20
  message_retention_seconds  = 1209600
  sqs_managed_sse_enabled    = true
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [local.queue_arns[each.key]]
  })
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [merge(local.tls_only, { Resource = "${local.queue_arns[each.key]}-dlq" })]
  })
  tags = merge(local.queue_layer, { Name = "${var.common.name}-${each.key}-dlq" })
}

resource "aws_sqs_queue" "this" {
  for_each                   = var.queues
  name                       = "${var.common.name}-${each.key}"
  visibility_timeout_seconds = 180
  receive_wait_time_seconds  = 20
  message_retention_seconds  = 345600
  sqs_managed_sse_enabled    = true
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letter[each.key].arn
    maxReceiveCount     = 5
  })
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [merge(local.tls_only, { Resource = local.queue_arns[each.key] })]
  })
  tags = merge(local.queue_layer, { Name = "${var.common.name}-${each.key}" })
}

# Functions

resource "aws_cloudwatch_log_group" "this" {
  for_each          = var.queues
  name              = "${local.log_prefix}/${each.key}"
  retention_in_days = 30
  tags              = merge(local.functions_layer, { Name = "${local.log_prefix}/${each.key}" })
}

resource "aws_iam_role" "this" {
  for_each    = var.queues
  name        = "${var.common.name}-function-${each.key}"
  description = "What the function ${var.common.name}-${each.key} may do"
  path        = "${var.common.prefix}/"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
      # Lambda on behalf of this account only.
      Condition = { StringEquals = { "aws:SourceAccount" = var.common.account } }
    }]
  })
  tags = local.functions_layer
}

resource "aws_iam_role_policy" "this" {
  for_each = var.queues
  name     = "function"
  role     = aws_iam_role.this[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "TakeMessages"
        Effect   = "Allow"
        Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
        Resource = aws_sqs_queue.this[each.key].arn
      },
      {
        Sid      = "KeepOutput"
        Effect   = "Allow"
        Action   = "s3:PutObject"
        Resource = "arn:aws:s3:::${var.output_bucket}/worker/${each.key}/*"
      },
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "arn:aws:logs:${var.common.region}:${var.common.account}:log-group:${local.log_prefix}/${each.key}:*"
      },
    ]
  })
}

resource "aws_lambda_function" "this" {
  for_each         = var.queues
  function_name    = "${var.common.name}-${each.key}"
  description      = "Works on the queue ${var.common.name}-${each.key}"
  role             = aws_iam_role.this[each.key].arn
  filename         = var.archive
  source_code_hash = filebase64sha256(var.archive)
  handler          = "src/${each.key}.handler"
  # The newest that the provider knows.
  runtime       = "nodejs22.x"
  architectures = ["arm64"]
  timeout       = 30
  memory_size   = 256
  environment {
    variables = { OUTPUT_BUCKET = var.output_bucket }
  }
  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.this[each.key].name
  }
  tags       = merge(local.functions_layer, { Name = "${var.common.name}-${each.key}" })
  depends_on = [aws_iam_role_policy.this]
}

resource "aws_lambda_event_source_mapping" "this" {
  for_each                           = var.queues
  function_name                      = aws_lambda_function.this[each.key].function_name
  event_source_arn                   = aws_sqs_queue.this[each.key].arn
  batch_size                         = 10
  maximum_batching_window_in_seconds = 1
  function_response_types            = ["ReportBatchItemFailures"]
  scaling_config {
    maximum_concurrency = 5
  }
}

output "urls" {
  description = "URLs of the queues by their names"
  value       = { for queue in var.queues : queue => aws_sqs_queue.this[queue].url }
}

output "arns" {
  description = "ARNs of the queues"
  value       = [for queue in aws_sqs_queue.this : queue.arn]
}

output "alarms" {
  description = "Alarms on the queues, for ../alarms"
  value = merge(
    { for queue in var.queues : "queue-age-${queue}" => {
      description = "A message has waited for ten minutes. Read the logs of the queue's worker."
      metric      = "ApproximateAgeOfOldestMessage"
      dimensions  = { QueueName = aws_sqs_queue.this[queue].name }
      statistic   = "Maximum"
      threshold   = 600
      periods     = 3
      missing     = "notBreaching"
    } },
    { for queue in var.queues : "queue-dead-letters-${queue}-dlq" => {
      description = "Messages could not be processed. Read the worker's logs, mend it, then bring them back with playbooks/redrive.yml."
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = aws_sqs_queue.dead_letter[queue].name }
      statistic   = "Maximum"
      threshold   = 1
      periods     = 1
      missing     = "notBreaching"
    } },
  )
}

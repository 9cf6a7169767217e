resource "aws_cloudwatch_log_group" "function" {
  for_each          = local.queues
  name              = "${local.prefix}/functions/${each.key}"
  retention_in_days = 30
  tags              = merge(local.layer.functions, { Name = "${local.prefix}/functions/${each.key}" })
}

resource "aws_iam_role" "function" {
  for_each    = local.queues
  name        = "${local.name}-function-${each.key}"
  description = "What the function ${local.name}-${each.key} may do"
  path        = "${local.prefix}/"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
  tags = local.layer.functions
}

resource "aws_iam_role_policy" "function" {
  for_each = local.queues
  name     = "function"
  role     = aws_iam_role.function[each.key].id
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
        Resource = "arn:aws:s3:::${local.buckets.releases}/worker/${each.key}/*"
      },
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "arn:aws:logs:${var.region}:${local.account}:log-group:${local.prefix}/functions/${each.key}:*"
      },
    ]
  })
}

resource "aws_lambda_function" "this" {
  for_each         = local.queues
  function_name    = "${local.name}-${each.key}"
  description      = "Works on the queue ${local.name}-${each.key}"
  role             = aws_iam_role.function[each.key].arn
  filename         = var.worker_archive
  source_code_hash = filebase64sha256(var.worker_archive)
  handler          = "src/${each.key}.handler"
  # The newest that the provider knows.
  runtime       = "nodejs22.x"
  architectures = ["arm64"]
  timeout       = 30
  memory_size   = 256
  environment {
    variables = { OUTPUT_BUCKET = local.buckets.releases }
  }
  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.function[each.key].name
  }
  tags       = merge(local.layer.functions, { Name = "${local.name}-${each.key}" })
  depends_on = [aws_iam_role_policy.function]
}

resource "aws_lambda_event_source_mapping" "this" {
  for_each                           = local.queues
  function_name                      = aws_lambda_function.this[each.key].function_name
  event_source_arn                   = aws_sqs_queue.this[each.key].arn
  batch_size                         = 10
  maximum_batching_window_in_seconds = 1
  function_response_types            = ["ReportBatchItemFailures"]
  scaling_config {
    maximum_concurrency = 5
  }
}

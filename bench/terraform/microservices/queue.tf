locals {
  queues = toset(["insurance", "payment", "notification"])
  # A queue and its dead letter queue name each other.
  queue_arns = { for queue in local.queues : queue => "arn:aws:sqs:${var.region}:${local.account}:${local.name}-${queue}" }
  queue_tls_only = {
    Sid       = "DenyPlainHttp"
    Effect    = "Deny"
    Principal = "*"
    Action    = "sqs:*"
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }
}

resource "aws_sqs_queue" "dead_letter" {
  for_each                   = local.queues
  name                       = "${local.name}-${each.key}-dlq"
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
    Statement = [merge(local.queue_tls_only, { Resource = "${local.queue_arns[each.key]}-dlq" })]
  })
  tags = merge(local.layer.queue, { Name = "${local.name}-${each.key}-dlq" })
}

resource "aws_sqs_queue" "this" {
  for_each                   = local.queues
  name                       = "${local.name}-${each.key}"
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
    Statement = [merge(local.queue_tls_only, { Resource = local.queue_arns[each.key] })]
  })
  tags = merge(local.layer.queue, { Name = "${local.name}-${each.key}" })
}

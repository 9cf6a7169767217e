# A topic, and the alarms that tell it.
variable "common" {
  description = "What all modules of an environment are told: app, env, region, account, name, prefix"
  type        = map(string)
}

variable "alarms" {
  description = "The alarms: namespace, then name, then what it is about"
  type        = any
}

variable "key_arn" {
  description = "The KMS key that encrypts what the alarms say"
  type        = string
  default     = null
}

locals {
  layer = { "vahana:layer" = "monitoring" }
  alarms = merge([for namespace, alarms in var.alarms :
    { for name, alarm in alarms : name => merge(alarm, { namespace = namespace }) }
  ]...)
}

resource "aws_sns_topic" "this" {
  name              = "${var.common.name}-alarms"
  display_name      = var.common.name
  kms_master_key_id = var.key_arn
  tags              = merge(local.layer, { Name = "${var.common.name}-alarms" })
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each            = local.alarms
  alarm_name          = "${var.common.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = can(each.value.percentile) ? null : lookup(each.value, "statistic", "Average")
  extended_statistic  = lookup(each.value, "percentile", null)
  comparison_operator = lookup(each.value, "comparison", "GreaterThanOrEqualToThreshold")
  threshold           = each.value.threshold
  period              = lookup(each.value, "period", 60)
  evaluation_periods  = lookup(each.value, "periods", 5)
  treat_missing_data  = lookup(each.value, "missing", "missing")
  alarm_actions       = [aws_sns_topic.this.arn]
  ok_actions          = [aws_sns_topic.this.arn]
  tags                = local.layer
}

output "arns" {
  description = "ARNs of the alarms"
  value       = [for alarm in aws_cloudwatch_metric_alarm.this : alarm.arn]
}

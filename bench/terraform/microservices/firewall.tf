locals {
  # Of the requests that the load balancer gets from the distribution, the header says where they came from.
  acls = {
    cloudfront    = { scope = "CLOUDFRONT", key = "IP", header = [] }
    load_balancer = { scope = "REGIONAL", key = "FORWARDED_IP", header = ["X-Forwarded-For"] }
  }
  rule_groups = {
    AWSManagedRulesCommonRuleSet         = { priority = 1, counted = ["SizeRestrictions_BODY"] }
    AWSManagedRulesKnownBadInputsRuleSet = { priority = 2, counted = [] }
    AWSManagedRulesSQLiRuleSet           = { priority = 3, counted = [] }
  }
}

resource "aws_wafv2_web_acl" "this" {
  for_each    = local.acls
  name        = local.name
  scope       = each.value.scope
  description = "Requests to the ${replace(each.key, "_", " ")} of ${local.name}"
  default_action {
    allow {}
  }
  rule {
    name     = "rate"
    priority = 0
    action {
      block {}
    }
    statement {
      rate_based_statement {
        limit                 = 2000
        evaluation_window_sec = 300
        aggregate_key_type    = each.value.key
        dynamic "forwarded_ip_config" {
          for_each = each.value.header
          content {
            header_name       = forwarded_ip_config.value
            fallback_behavior = "NO_MATCH"
          }
        }
      }
    }
    visibility_config {
      sampled_requests_enabled   = true
      cloudwatch_metrics_enabled = true
      metric_name                = "rate"
    }
  }
  dynamic "rule" {
    for_each = local.rule_groups
    content {
      name     = rule.key
      priority = rule.value.priority
      override_action {
        none {}
      }
      statement {
        managed_rule_group_statement {
          vendor_name = "AWS"
          name        = rule.key
          dynamic "rule_action_override" {
            for_each = rule.value.counted
            content {
              name = rule_action_override.value
              action_to_use {
                count {}
              }
            }
          }
        }
      }
      visibility_config {
        sampled_requests_enabled   = true
        cloudwatch_metrics_enabled = true
        metric_name                = rule.key
      }
    }
  }
  visibility_config {
    sampled_requests_enabled   = true
    cloudwatch_metrics_enabled = true
    metric_name                = local.name
  }
  tags = merge(local.layer.firewall, { Name = local.name })
}

resource "aws_wafv2_web_acl_association" "load_balancer" {
  web_acl_arn  = aws_wafv2_web_acl.this["load_balancer"].arn
  resource_arn = aws_lb.this.arn
}

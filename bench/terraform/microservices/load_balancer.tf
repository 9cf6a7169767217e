resource "aws_lb" "this" {
  name                       = local.name
  internal                   = false
  load_balancer_type         = "application"
  subnets                    = [for subnet in aws_subnet.public : subnet.id]
  security_groups            = [aws_security_group.this["load-balancer"].id]
  idle_timeout               = 60
  drop_invalid_header_fields = true
  # destroy could not lift it in the same run.
  enable_deletion_protection = false
  access_logs {
    enabled = true
    bucket  = local.buckets.logs
    prefix  = "load-balancer"
  }
  tags       = merge(local.layer.load_balancer, { Name = local.name })
  depends_on = [aws_internet_gateway.this, aws_s3_bucket_policy.logs]
}

locals {
  # In the order of their rules. /internal/ is for services alone: no path leads there.
  answering = ["auth", "cars", "insurance", "payment", "notification"]
}

# Who is in them is ECS's business.
resource "aws_lb_target_group" "service" {
  for_each             = toset(local.answering)
  name                 = "${local.name}-${each.key}"
  target_type          = "ip"
  vpc_id               = aws_vpc.this.id
  protocol             = "HTTP"
  port                 = local.port
  deregistration_delay = 30
  health_check {
    protocol            = "HTTP"
    path                = "/api/${each.key}/health?live=true"
    interval            = 5
    timeout             = 3
    healthy_threshold   = 2
    unhealthy_threshold = 2
    matcher             = "200"
  }
  tags = merge(local.layer.load_balancer, { Name = "${local.name}-${each.key}" })
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  protocol          = "HTTP"
  port              = 80
  default_action {
    type = "fixed-response"
    fixed_response {
      status_code  = "404"
      content_type = "application/json"
      message_body = "{\"code\": \"not_found\"}"
    }
  }
}

resource "aws_lb_listener_rule" "service" {
  for_each     = { for number, name in local.answering : name => 101 + number }
  listener_arn = aws_lb_listener.http.arn
  # Before them is room for those of maintenance.
  priority = each.value
  condition {
    path_pattern {
      values = ["/api/${each.key}", "/api/${each.key}/*"]
    }
  }
  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.service[each.key].arn
  }
}

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

resource "aws_lb_target_group" "backend" {
  name                 = "${local.name}-backend"
  target_type          = "instance"
  vpc_id               = aws_vpc.this.id
  protocol             = "HTTP"
  port                 = 3000
  deregistration_delay = 30
  health_check {
    protocol            = "HTTP"
    path                = "/api/health?live=true"
    interval            = 5
    timeout             = 3
    healthy_threshold   = 2
    unhealthy_threshold = 2
    matcher             = "200"
  }
  tags = merge(local.layer.load_balancer, { Name = "${local.name}-backend" })
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  protocol          = "HTTP"
  port              = 80
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.backend.arn
  }
}

resource "aws_launch_template" "backend" {
  name                   = "${local.name}-backend"
  image_id               = data.aws_ami.backend.id
  instance_type          = "t3.micro"
  key_name               = aws_key_pair.this.key_name
  vpc_security_group_ids = [aws_security_group.this["backend"].id]
  update_default_version = true
  iam_instance_profile {
    name = aws_iam_instance_profile.instance.name
  }
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_type           = "gp3"
      volume_size           = 8
      encrypted             = true
      delete_on_termination = true
    }
  }
  user_data = base64encode(templatefile("${path.module}/user_data.sh.tftpl", {
    boot = jsonencode({
      app                = var.app
      env                = var.env
      region             = var.region
      port               = 3000
      releases_bucket    = local.buckets.releases
      parameter_prefix   = local.prefix
      secrets            = ["${local.prefix}/backend"]
      database           = { engine = "postgres", parameter = "${local.prefix}/database" }
      auto_scaling_group = "${local.name}-backend"
      lifecycle_hook     = "${local.name}-launch"
      cache              = { parameter = "${local.prefix}/cache" }
      queues = {
        for queue in local.queues : queue => "https://sqs.${var.region}.amazonaws.com/${local.account}/${local.name}-${queue}"
      }
      images_bucket = local.buckets.images
    })
  }))
  dynamic "tag_specifications" {
    for_each = ["instance", "volume"]
    content {
      resource_type = tag_specifications.value
      tags          = merge(local.owner, local.layer.compute, { Name = "${local.name}-backend", "vahana:role" = "backend" })
    }
  }
  tags = merge(local.layer.compute, { Name = "${local.name}-backend" })
}

resource "aws_autoscaling_group" "backend" {
  name                      = "${local.name}-backend"
  min_size                  = 2
  max_size                  = 10
  vpc_zone_identifier       = [for subnet in aws_subnet.private : subnet.id]
  target_group_arns         = [aws_lb_target_group.backend.arn]
  health_check_type         = "ELB"
  health_check_grace_period = 300
  min_elb_capacity          = 2
  enabled_metrics = [
    "GroupMinSize", "GroupMaxSize", "GroupDesiredCapacity", "GroupInServiceInstances", "GroupPendingInstances",
    "GroupStandbyInstances", "GroupTerminatingInstances", "GroupTotalInstances",
  ]
  launch_template {
    id      = aws_launch_template.backend.id
    version = aws_launch_template.backend.latest_version
  }
  instance_maintenance_policy {
    min_healthy_percentage = 100
    max_healthy_percentage = 200
  }
  initial_lifecycle_hook {
    name                 = "${local.name}-launch"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    heartbeat_timeout    = 600
    default_result       = "ABANDON"
  }
  dynamic "tag" {
    for_each = merge(local.owner, local.layer.compute, { Name = "${local.name}-backend" })
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false
    }
  }
  # Instances read all of it when they start, and have no other way out.
  depends_on = [
    aws_lb_listener.http, aws_route.nat, aws_route_table_association.private, module.release,
    aws_ssm_parameter.database, aws_ssm_parameter.cache, aws_secretsmanager_secret_version.this, aws_iam_role_policy.instance,
  ]
}

resource "aws_autoscaling_policy" "cpu" {
  name                      = "${local.name}-backend-cpu"
  autoscaling_group_name    = aws_autoscaling_group.backend.name
  policy_type               = "TargetTrackingScaling"
  estimated_instance_warmup = 120
  target_tracking_configuration {
    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
    target_value = 60
  }
}

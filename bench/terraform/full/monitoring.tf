locals {
  log_groups = ["backend", "system"]
}

resource "aws_cloudwatch_log_group" "this" {
  for_each          = toset(local.log_groups)
  name              = "${local.prefix}/${each.key}"
  retention_in_days = 30
  tags              = local.layer.monitoring
}

# Alarms

locals {
  balancer_dimension = { LoadBalancer = aws_lb.this.arn_suffix }
  database_dimension = { DBInstanceIdentifier = aws_db_instance.this.identifier }
  cache_dimension    = { CacheClusterId = one(aws_elasticache_replication_group.this.member_clusters) }
  traffic_alarms = {
    backend-errors = {
      description = "The backend answers with errors (5xx). Read the logs of its hosts."
      metric      = "HTTPCode_Target_5XX_Count"
      dimensions  = local.balancer_dimension
      statistic   = "Sum"
      threshold   = 10
      missing     = "notBreaching"
    }
    backend-unhealthy = {
      description = "The load balancer finds a target unhealthy. The group replaces it; if this lasts, its replacements fail too."
      metric      = "UnHealthyHostCount"
      dimensions  = merge(local.balancer_dimension, { TargetGroup = aws_lb_target_group.backend.arn_suffix })
      statistic   = "Maximum"
      threshold   = 1
    }
    load-balancer-errors = {
      description = "The load balancer itself answers with errors (5xx). No target is healthy, or they answer too late."
      metric      = "HTTPCode_ELB_5XX_Count"
      dimensions  = local.balancer_dimension
      statistic   = "Sum"
      threshold   = 10
      missing     = "notBreaching"
    }
    backend-latency = {
      description = "One answer in twenty takes a second or more. Look for slow queries, then at the CPU of what answers and of the database."
      metric      = "TargetResponseTime"
      dimensions  = local.balancer_dimension
      percentile  = "p95"
      threshold   = 1
      missing     = "notBreaching"
    }
  }
  group_alarms = {
    backend-cpu = {
      description = "The group is at its limit in spite of scaling. Raise compute_max_size or the instance type."
      metric      = "CPUUtilization"
      dimensions  = { AutoScalingGroupName = aws_autoscaling_group.backend.name }
      threshold   = 80
      period      = 300
      periods     = 1
    }
  }
  database_alarms = {
    database-cpu = {
      description = "The database works at its limit. Look for slow queries, or raise database_instance_class."
      metric      = "CPUUtilization"
      dimensions  = local.database_dimension
      threshold   = 80
      period      = 300
      periods     = 1
    }
    database-storage = {
      description = "The database's disk fills up. Raise database_allocated_storage."
      metric      = "FreeStorageSpace"
      dimensions  = local.database_dimension
      statistic   = "Minimum"
      comparison  = "LessThanThreshold"
      threshold   = 21474836480
      period      = 300
      periods     = 3
    }
    database-connections = {
      description = "The database is about to run out of connections. Look for those left open, or raise database_instance_class."
      metric      = "DatabaseConnections"
      dimensions  = local.database_dimension
      threshold   = 150
    }
    replica-lag-replica = {
      description = "The read replica is ten minutes behind. Look for long transactions, or raise its class."
      metric      = "ReplicaLag"
      dimensions  = { DBInstanceIdentifier = aws_db_instance.replica.identifier }
      threshold   = 600
    }
  }
  cache_alarms = {
    cache-memory-001 = {
      description = "The cache is nearly full and will drop what is used. Raise its node type."
      metric      = "DatabaseMemoryUsagePercentage"
      dimensions  = local.cache_dimension
      threshold   = 80
    }
    cache-evictions-001 = {
      description = "The cache drops what has not expired, for want of memory. Raise its node type."
      metric      = "Evictions"
      dimensions  = local.cache_dimension
      statistic   = "Sum"
      threshold   = 1000
      period      = 300
      periods     = 1
    }
  }
}

module "alarms" {
  source  = "../modules/alarms"
  common  = local.common
  key_arn = aws_kms_key.this.arn
  alarms = {
    "AWS/ApplicationELB" = local.traffic_alarms
    "AWS/EC2"            = local.group_alarms
    "AWS/RDS"            = local.database_alarms
    "AWS/ElastiCache"    = local.cache_alarms
    "AWS/SQS"            = module.workers.alarms
  }
}

# Dashboard

locals {
  balancer = ["LoadBalancer", aws_lb.this.arn_suffix]
  targets  = concat(local.balancer, ["TargetGroup", aws_lb_target_group.backend.arn_suffix])
  database = ["DBInstanceIdentifier", aws_db_instance.this.identifier]
  cache    = ["CacheClusterId", local.cache_dimension.CacheClusterId]
  charts = concat([
    { title = "Requests and errors a minute", stat = "Sum", metrics = [
      concat(["AWS/ApplicationELB", "RequestCount"], local.balancer),
      concat(["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count"], local.balancer),
      concat(["AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count"], local.balancer),
    ] },
    { title = "Seconds until the backend answers, p95", stat = "p95", metrics = [
      concat(["AWS/ApplicationELB", "TargetResponseTime"], local.balancer),
    ] },
    { title = "Hosts", stat = "Maximum", metrics = [
      concat(["AWS/ApplicationELB", "HealthyHostCount"], local.targets),
      concat(["AWS/ApplicationELB", "UnHealthyHostCount"], local.targets),
    ] },
    { title = "CPU of hosts and database, per cent", stat = "Average", metrics = [
      ["AWS/EC2", "CPUUtilization", "AutoScalingGroupName", aws_autoscaling_group.backend.name],
      concat(["AWS/RDS", "CPUUtilization"], local.database),
    ] },
    { title = "Connections to the database", stat = "Maximum", metrics = [
      concat(["AWS/RDS", "DatabaseConnections"], local.database),
    ] },
    { title = "Free storage of the database, bytes", stat = "Minimum", metrics = [
      concat(["AWS/RDS", "FreeStorageSpace"], local.database),
    ] },
    { title = "Read replica behind, seconds", stat = "Maximum", metrics = [
      ["AWS/RDS", "ReplicaLag", "DBInstanceIdentifier", aws_db_instance.replica.identifier],
    ] },
    { title = "Cache ${local.cache[1]}", stat = "Average", metrics = [
      concat(["AWS/ElastiCache", "DatabaseMemoryUsagePercentage"], local.cache),
      concat(["AWS/ElastiCache", "Evictions"], local.cache),
    ] },
    ], [for queue in ["email", "notifications", "analytics"] :
    { title = "Queue ${local.name}-${queue}", stat = "Maximum", metrics = [
      ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", "${local.name}-${queue}"],
      ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", "${local.name}-${queue}"],
    ] }
  ])
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = local.name
  dashboard_body = jsonencode({ widgets = concat(
    [
      # A dashboard cannot be tagged: a text in it names its owner.
      { type = "text", width = 24, height = 1, properties = { markdown = "vahana:app=${var.app} vahana:env=${var.env}" } },
      { type = "alarm", width = 24, height = 3, properties = {
        title  = "Alarms"
        alarms = module.alarms.arns
      } },
    ],
    [for chart in local.charts : {
      type       = "metric"
      width      = 8
      height     = 6
      properties = merge(chart, { region = var.region, period = 60 })
    }],
  ) })
}

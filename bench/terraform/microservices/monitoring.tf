module "alarms" {
  source = "../modules/alarms"
  common = local.common
  alarms = {
    "AWS/ApplicationELB" = local.traffic_alarms
    "AWS/ECS"            = local.service_alarms
    "AWS/RDS"            = local.database_alarms
    "AWS/ElastiCache"    = local.cache_alarms
    "AWS/SQS"            = local.queue_alarms
  }
}

locals {
  balancer_dimension = { LoadBalancer = aws_lb.this.arn_suffix }
  database_dimension = { DBInstanceIdentifier = aws_db_instance.this.identifier }
  cache_dimension    = { CacheClusterId = one(aws_elasticache_replication_group.this.member_clusters) }
  traffic_alarms = {
    services-errors = {
      description = "The services answer with errors (5xx). Read the logs of the one that does."
      metric      = "HTTPCode_Target_5XX_Count"
      dimensions  = local.balancer_dimension
      statistic   = "Sum"
      threshold   = 10
      missing     = "notBreaching"
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
  service_alarms = merge([for service in keys(local.services) : { for name, alarm in {
    service-cpu = {
      description = "A service is at its limit in spite of scaling. Raise containers_max_tasks or containers_cpu."
      metric      = "CPUUtilization"
      statistic   = "Average"
      threshold   = 80
      period      = 300
      periods     = 1
    }
    service-memory = {
      description = "A service is about to run out of memory, which ends its tasks. Look for a leak, or raise containers_memory."
      metric      = "MemoryUtilization"
      statistic   = "Maximum"
      threshold   = 85
      period      = 60
      periods     = 5
    }
    } : "${name}-${service}" => merge(alarm, {
      dimensions = { ClusterName = aws_ecs_cluster.this.name, ServiceName = aws_ecs_service.this[service].name }
  }) }]...)
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
      # 20 % of its storage, in bytes.
      threshold = 21474836480
      period    = 300
      periods   = 3
    }
    database-connections = {
      description = "The database is about to run out of connections. Look for those left open, or raise database_instance_class."
      metric      = "DatabaseConnections"
      dimensions  = local.database_dimension
      threshold   = 150
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
  queue_alarms = merge(
    { for queue in local.queues : "queue-age-${queue}" => {
      description = "A message has waited for ten minutes. Read the logs of the queue's worker."
      metric      = "ApproximateAgeOfOldestMessage"
      dimensions  = { QueueName = aws_sqs_queue.this[queue].name }
      statistic   = "Maximum"
      threshold   = 600
      periods     = 3
      missing     = "notBreaching"
    } },
    { for queue in local.queues : "queue-dead-letters-${queue}-dlq" => {
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

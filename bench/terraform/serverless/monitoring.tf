module "alarms" {
  source = "../modules/alarms"
  common = local.common
  alarms = {
    "AWS/ApiGateway"  = local.api_alarms
    "AWS/Lambda"      = local.function_alarms
    "AWS/DynamoDB"    = local.table_alarms
    "AWS/ElastiCache" = local.cache_alarms
    "AWS/SQS"         = module.workers.alarms
  }
}

locals {
  api_dimension = { ApiId = aws_apigatewayv2_api.this.id }
  api_alarms = {
    api-errors = {
      description = "The API answers with errors (5xx). Read the functions' logs."
      metric      = "5xx"
      dimensions  = local.api_dimension
      statistic   = "Sum"
      threshold   = 10
      missing     = "notBreaching"
    }
    api-latency = {
      description = "One answer in twenty takes a second or more. Look for searches with filters, or raise api_memory."
      metric      = "Latency"
      dimensions  = local.api_dimension
      percentile  = "p95"
      threshold   = 1000
      missing     = "notBreaching"
    }
  }
  function_alarms = merge([for function in keys(local.functions) : { for name, alarm in {
    function-errors = {
      description = "A function ends in errors. Read its logs."
      metric      = "Errors"
      statistic   = "Sum"
      threshold   = 5
    }
    function-throttles = {
      description = "Requests are refused because too many run at the same time. Ask AWS for more concurrent executions, or raise api_reserved_concurrency."
      metric      = "Throttles"
      statistic   = "Sum"
      threshold   = 1
    }
    function-duration = {
      description = "A function is about to run out of its time. Look at what it waits for."
      metric      = "Duration"
      statistic   = "Maximum"
      threshold   = 8000
    }
    } : "${name}-${function}" => merge(alarm, {
      dimensions = { FunctionName = aws_lambda_function.api[function].function_name }
      missing    = "notBreaching"
  }) }]...)
  table_alarms = { for name, alarm in {
    table-reads-throttled = {
      description = "Reads of the table are refused. Look for one partition that all ask."
      metric      = "ReadThrottleEvents"
    }
    table-writes-throttled = {
      description = "Writes to the table are refused. Look for one partition that all write to."
      metric      = "WriteThrottleEvents"
    }
    } : name => merge(alarm, {
      dimensions = { TableName = aws_dynamodb_table.this.name }
      statistic  = "Sum"
      threshold  = 1
      missing    = "notBreaching"
  }) }
  cache_alarms = {
    cache-memory-001 = {
      description = "The cache is nearly full and will drop what is used. Raise its node type."
      metric      = "DatabaseMemoryUsagePercentage"
      dimensions  = { CacheClusterId = one(aws_elasticache_replication_group.this.member_clusters) }
      threshold   = 80
    }
    cache-evictions-001 = {
      description = "The cache drops what has not expired, for want of memory. Raise its node type."
      metric      = "Evictions"
      dimensions  = { CacheClusterId = one(aws_elasticache_replication_group.this.member_clusters) }
      statistic   = "Sum"
      threshold   = 1000
      period      = 300
      periods     = 1
    }
  }
}

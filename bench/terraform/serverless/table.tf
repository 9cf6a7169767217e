locals {
  # Key type, then the attribute's name.
  keys = { for name, schema in merge(
    { "" = local.definition.KeySchema },
    { for index in local.definition.GlobalSecondaryIndexes : index.IndexName => index.KeySchema },
  ) : name => { for key in schema : key.KeyType => key.AttributeName } }
  definition = jsondecode(file(var.table_file))
}

resource "aws_dynamodb_table" "this" {
  name         = local.common.name
  billing_mode = local.definition.BillingMode
  hash_key     = local.keys[""].HASH
  range_key    = local.keys[""].RANGE
  dynamic "attribute" {
    for_each = local.definition.AttributeDefinitions
    content {
      name = attribute.value.AttributeName
      type = attribute.value.AttributeType
    }
  }
  dynamic "global_secondary_index" {
    for_each = local.definition.GlobalSecondaryIndexes
    content {
      name            = global_secondary_index.value.IndexName
      hash_key        = local.keys[global_secondary_index.value.IndexName].HASH
      range_key       = local.keys[global_secondary_index.value.IndexName].RANGE
      projection_type = global_secondary_index.value.Projection.ProjectionType
    }
  }
  ttl {
    attribute_name = local.definition.TimeToLiveSpecification.AttributeName
    enabled        = local.definition.TimeToLiveSpecification.Enabled
  }
  point_in_time_recovery {
    enabled = true
  }
  # destroy could not lift it in the same run.
  deletion_protection_enabled = false
  tags                        = { "vahana:layer" = "table", Name = local.common.name }
}

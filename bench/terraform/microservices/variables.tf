variable "app" {
  description = "app_name of the playbooks"
  type        = string
  default     = "vahanhelp"
}

variable "env" {
  description = "deploy_env of the playbooks"
  type        = string
  default     = "prod"
}

variable "region" {
  description = "aws_region of the playbooks"
  type        = string
  default     = "us-east-1"
}

variable "release_folder" {
  description = "Folder of a built release, named after it: dist/<release>"
  type        = string
}

variable "page_function_file" {
  description = "The CloudFront function that answers every route with the page: roles/edge/files/spa.js"
  type        = string
}

variable "services_folder" {
  description = "Sources of the services with the Containerfile of all: containers_source of the playbooks"
  type        = string
}

variable "service_versions" {
  description = "Versions of the services' images, by service"
  type        = map(string)
}

"""Measures Vahana against Terraform: the same resources, the same API, the same machine, in one run."""

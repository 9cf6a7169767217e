"""What makes the API's word true: each reconciler compares moto's state with the machine and closes the difference."""

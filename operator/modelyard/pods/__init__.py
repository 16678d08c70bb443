"""What runs inside pods in the Model's namespace, with the Model's own credentials: verify, fetch, check."""

"""What comes in: endpoints that write, their schemas, who may call, and the Redis state store."""

"""What is to be expected: progress, and the times ahead."""

"""Training, evaluation and prediction on Ignite engines."""

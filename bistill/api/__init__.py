"""What ``import bistill`` offers beyond models that are there: data, training, evaluation."""

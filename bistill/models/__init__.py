"""Text models: loading and saving in the ecosystem's formats, token batches, pooling, prompts and LoRA."""

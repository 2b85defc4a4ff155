"""danlu.backbones."""

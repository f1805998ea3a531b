"""Layers: ordinary nn.Module subclasses with Keras' interface."""

"""Keras models in the interfaces of other libraries."""

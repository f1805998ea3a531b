"""Tensor in, tensor out: what several layers share."""

"""Graphs of layers: recording, running, describing them."""

"""Speed by ratio: the same networks trained by torchkeras and by its rivals, interleaved in one run."""

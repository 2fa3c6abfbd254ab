"""Benchmarks: dtk side by side with what people would use instead; bench/run runs all of them."""

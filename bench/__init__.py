"""Measures dtk side by side with what people would use instead; bench/run does all of it."""

"""Where models come from beside an endpoint's pointer: folders and URLs in TensorFlow Serving's layout. See docs/serving-sources.md."""

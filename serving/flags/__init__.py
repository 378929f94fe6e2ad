"""A command line of tensorflow_model_server: what its flags ask for here. See docs/serving-sources.md."""

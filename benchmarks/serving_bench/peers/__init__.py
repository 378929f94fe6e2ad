"""Other servers of models, each in an environment of its own, with the settings that it recommends for production."""

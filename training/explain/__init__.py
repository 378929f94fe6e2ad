"""Why a model says what it says of one input, and what it goes by as a whole."""

"""The bundled recipes, and how recipes are found, checked and described."""

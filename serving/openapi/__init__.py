"""What is served, as an OpenAPI 3.1 document made from the signatures, and a page to try it."""

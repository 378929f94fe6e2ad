"""The contracts of managed services: what they tell a container by its surroundings, and the routes that they ask."""

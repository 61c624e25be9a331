"""The OpenAPI document and the models and operations that it is made of."""

"""What answers: `python -P -m serving --endpoint KEEP/endpoints/NAME`.

One supervisor process owns the listening socket and follows the endpoint's pointer; worker processes answer.
"""

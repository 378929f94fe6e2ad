"""What is uploaded. It runs by itself in the clouds' function services: the standard library only, beside boto3 in Lambda."""

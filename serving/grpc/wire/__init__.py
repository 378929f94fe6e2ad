"""gRPC over HTTP/2 without a library: what servers need of RFC 9113, RFC 7541 and gRPC's PROTOCOL-HTTP2.md, and no more."""
